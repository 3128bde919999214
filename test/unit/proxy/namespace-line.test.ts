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
    { type: 'close', netnsCookie },
  ];
  for (const message of messages) {
    const bytes = encodeNamespaceMessage(message);
    t.same(decodeNamespaceMessage(bytes), message);
    t.ok(bytes.length < 100);
  }
});
