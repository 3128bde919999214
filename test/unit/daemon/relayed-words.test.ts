import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { relayWords } from '#src/daemon/relayed-words.ts';

function setUp() {
  const stream = new PassThrough();
  const said: string[] = [];
  relayWords(stream, 'worker 7', (line) => said.push(line));
  const ended = new Promise((resolve) => stream.on('close', resolve));
  return { stream, said, ended };
}

t.test('each line is marked, however it is cut', async (t) => {
  const { stream, said, ended } = setUp();
  for (const part of ['{"event":', '"flow"}\nsluice: hold 1 was ', 'approved\n\n', 'the rest'])
    stream.write(part);
  stream.end();
  await ended;
  t.strictSame(said, [
    'worker 7: {"event":"flow"}',
    'worker 7: sluice: hold 1 was approved',
    'worker 7: the rest',
  ]);
});

t.test('nothing in a line begins another or moves a cursor', async (t) => {
  const { stream, said, ended } = setUp();
  stream.end(Buffer.from('a\rsluice: b\u001b[2J\u2028c\u202ed\0\n\xff\n', 'utf8'));
  await ended;
  t.strictSame(said.slice(0, 1), ['worker 7: a?sluice: b?[2J?c?d?']);
  t.equal(said.length, 2);
});

t.test('a long line is cut, and so is one that never ends', async (t) => {
  const { stream, said, ended } = setUp();
  stream.write(`${'x'.repeat(5_000)}\n`);
  for (let n = 0; n < 50; n++) stream.write('y'.repeat(100_000));
  stream.end();
  await ended;
  t.strictSame(
    said.map((line) => line.length),
    [1_034, 1_034],
  );
});

t.test('who says too much is cut off', async (t) => {
  const { stream, said, ended } = setUp();
  stream.write('again\n'.repeat(10_000));
  await ended;
  t.equal(said.length, 101);
  t.equal(said.at(-1), 'worker 7: (says more than is told here)');
  t.ok(stream.destroyed);
  await text(stream).catch(() => '');
});
