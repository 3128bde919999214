import { once } from 'node:events';
import { Duplex, PassThrough } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { Channel, encodeFrame, FrameReader } from '#src/proxy/channel.ts';
import { socketPair } from './socket-pair.ts';

const LIMIT = 1_000;
const messages = [
  { type: 'ready' },
  { type: 'flows', flows: [{ kernel: '00ff', report: { text: 'é – ☃', nothing: null } }] },
  [],
  'text',
];

function readAll(bytes: Buffer, sizeOf: () => number): unknown[] {
  const reader = new FrameReader(LIMIT);
  const seen: unknown[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = Math.max(1, sizeOf());
    reader.push(bytes.subarray(at, at + size), (message) => seen.push(message));
    at += size;
  }
  return seen;
}

t.test('messages arrive as they were sent, whole, byte by byte and in any pieces', async (t) => {
  const bytes = Buffer.concat(messages.map(encodeFrame));
  t.strictSame(
    readAll(bytes, () => bytes.length),
    messages,
  );
  t.strictSame(
    readAll(bytes, () => 1),
    messages,
  );
  for (let n = 0; n < 50; n += 1)
    t.strictSame(
      readAll(bytes, () => Math.ceil(Math.random() * 40)),
      messages,
    );
});

const hostile: readonly (readonly [string, Buffer])[] = [
  ['a frame over the bound', Buffer.from([0xff, 0xff, 0xff, 0x7f])],
  ['one byte over it', Buffer.from([(LIMIT + 1) & 0xff, (LIMIT + 1) >> 8, 0, 0])],
  ['a body that is no JSON', Buffer.concat([Buffer.from([3, 0, 0, 0]), Buffer.from('{a}')])],
  ['an empty body', Buffer.alloc(4)],
  [
    "a frame of Node's own IPC",
    Buffer.concat([Buffer.from([0, 0, 0, 2]), Buffer.from('\xff\x0f', 'latin1')]),
  ],
];
for (const [name, bytes] of hostile) {
  t.test(`${name} is a violation, told once, and nothing is read after it`, async (t) => {
    const line = new PassThrough();
    const told: string[] = [];
    const heard: unknown[] = [];
    const closed = new Promise<void>((resolve) => {
      new Channel(Duplex.from({ readable: line, writable: new PassThrough() }), LIMIT, {
        onMessage: (message) => heard.push(message),
        onViolation: (why) => told.push(why),
        onClose: resolve,
      });
    });
    line.write(encodeFrame('before'));
    line.write(bytes);
    line.write(encodeFrame('after'));
    await closed;
    t.strictSame(heard, ['before']);
    t.equal(told.length, 1);
  });
}

t.test('any bytes give messages or an error, never more than the bound in memory', async (t) => {
  for (let seed = 0; seed < 300; seed += 1) {
    const reader = new FrameReader(LIMIT);
    const bytes = Buffer.from(Array.from({ length: 64 }, (_, n) => (seed * 31 + n * n * 17) & 0xff));
    try {
      reader.push(bytes, () => undefined);
    } catch (error) {
      t.ok(error instanceof RangeError || error instanceof SyntaxError);
    }
  }
});

t.test('sending on a line that is closed does nothing', async (t) => {
  const line = new PassThrough();
  const channel = new Channel(line, LIMIT, {
    onMessage: () => t.fail('nothing was sent'),
    onViolation: () => t.fail('nothing was wrong'),
    onClose: () => undefined,
  });
  line.destroy();
  t.doesNotThrow(() => channel.send({ type: 'ready' }));
});

t.test('what was sent is told when it has left, and never when it cannot', async (t) => {
  const [ours, theirs] = await socketPair(t.teardown);
  let left = 0;
  const channel = new Channel(ours, LIMIT, {
    onMessage: () => undefined,
    onViolation: () => undefined,
    onClose: () => undefined,
  });
  channel.send('short', () => {
    left += 1;
  });
  await once(theirs.resume(), 'data');
  await setImmediate();
  t.equal(left, 1);
  theirs.pause();
  // More than the kernel takes for one that does not read.
  channel.send('x'.repeat(64 * 1024 * 1024), () => {
    left += 1;
  });
  channel.send('behind it', () => {
    left += 1;
  });
  theirs.destroy();
  // With what is not read yet it is a reset.
  await new Promise((resolve) => ours.once('close', resolve));
  await setImmediate();
  t.equal(left, 1);
});
