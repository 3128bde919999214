import t from 'tap';
import {
  decodeNamespaceMessage,
  encodeNamespaceMessage,
  type NamespaceMessage,
} from '#src/proxy/namespace-line.ts';

t.test('messages survive the way there and back, and fit a line', async (t) => {
  const netnsCookie = 2n ** 64n - 1n;
  const messages: readonly NamespaceMessage[] = [
    { type: 'listen', netnsCookie, families: [4, 6] },
    { type: 'sockets', netnsCookie, family: 6 },
    { type: 'forward', netnsCookie, datagrams: 2 },
    { type: 'close', netnsCookie },
    {
      type: 'question',
      netnsCookie,
      sender: 'f'.repeat(32),
      port: 65_535,
      flow: 'f'.repeat(192),
      bytes: Buffer.alloc(512).toString('base64'),
    },
  ];
  for (const message of messages) {
    const bytes = encodeNamespaceMessage(message);
    t.same(decodeNamespaceMessage(bytes), message);
    t.ok(bytes.length < (message.type === 'question' ? 1200 : 100));
  }
});
