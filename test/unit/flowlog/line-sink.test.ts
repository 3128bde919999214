import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { LineSink } from '#src/flowlog/line-sink.ts';

const arrive = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A pipe with both ends here; its reader does not block. */
function pipe(dir: string): { read: number; write: number } {
  const path = join(dir, 'pipe');
  execFileSync('mkfifo', [path]);
  const read = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { read, write: openSync(path, constants.O_WRONLY) };
}

function readAll(fd: number): string {
  const parts: string[] = [];
  const buffer = Buffer.alloc(65_536);
  for (;;) {
    try {
      const length = readSync(fd, buffer);
      if (length === 0) break;
      parts.push(buffer.toString('latin1', 0, length));
    } catch {
      break;
    }
  }
  return parts.join('');
}

t.test('writes the lines of a turn to a file', async (t) => {
  const path = join(t.testdir(), 'log');
  const fd = openSync(path, 'w');
  const sink = new LineSink(fd);
  sink.write('one\n');
  sink.write('two\n');
  t.equal(readFileSync(path, 'utf8'), '', 'not in the caller’s turn');
  await arrive();
  await arrive();
  t.equal(readFileSync(path, 'utf8'), 'one\ntwo\n');
  sink.write('three\n');
  sink.close();
  t.equal(readFileSync(path, 'utf8'), 'one\ntwo\nthree\n', 'close writes what is left');
  sink.write('four\n');
  t.equal(sink.health().droppedLines, 1);
  closeSync(fd);
});

t.test('a full pipe holds nobody up; what does not fit is dropped whole and counted', async (t) => {
  const { read, write } = pipe(t.testdir());
  const sink = new LineSink(write, { maxBufferedBytes: 10_000 });
  const line = (number: number) => `${String(number).padStart(99, '0')}\n`;
  let sent = 0;
  // A pipe holds 64 KiB or less: after that the buffer fills, and then lines are dropped.
  while (sink.health().droppedLines < 5) {
    sink.write(line(sent++));
    if (sent % 50 === 0) sink.flushSync();
  }
  t.ok(sent > 100);
  t.ok(sink.health().bufferedBytes > 9_000);
  t.ok(sink.health().bufferedBytes <= 10_000);
  let text = readAll(read);
  sink.flushSync();
  text += readAll(read);
  t.equal(sink.health().bufferedBytes, 0);
  const kept = sent - sink.health().droppedLines;
  t.equal(text, Array.from({ length: kept }, (_, number) => line(number)).join(''));
  sink.close();
  closeSync(read);
  closeSync(write);
});

t.test('a full pipe goes on by itself once it is read', async (t) => {
  const { read, write } = pipe(t.testdir());
  const sink = new LineSink(write);
  for (let count = 0; count < 2_000; count++) sink.write(`${'x'.repeat(99)}\n`);
  let length = 0;
  while (length < 200_000) {
    length += readAll(read).length;
    await arrive();
    // The retry does not keep a process alive; this does, as the daemon's own work would.
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  t.equal(length, 200_000);
  t.equal(sink.health().droppedLines, 0);
  sink.close();
  closeSync(read);
  closeSync(write);
});

t.test('a reader that is gone costs lines, not the process', async (t) => {
  const { read, write } = pipe(t.testdir());
  const sink = new LineSink(write);
  closeSync(read);
  sink.write('one\n');
  sink.write('two\n');
  sink.flushSync();
  t.match(sink.health(), { droppedLines: 2, bufferedBytes: 0, error: /EPIPE/ });
  sink.close();
  closeSync(write);
});

t.test('a line cut short by a reader that left does not spoil the next', async (t) => {
  const dir = t.testdir();
  const { read, write } = pipe(dir);
  const sink = new LineSink(write);
  sink.write(`${'x'.repeat(100_000)}\n`);
  sink.flushSync();
  t.ok(sink.health().bufferedBytes > 0, 'cut');
  closeSync(read);
  sink.flushSync();
  t.equal(sink.health().droppedLines, 1);
  const again = openSync(join(dir, 'pipe'), constants.O_RDONLY | constants.O_NONBLOCK);
  readAll(again);
  sink.write('whole\n');
  sink.flushSync();
  t.equal(sink.health().error, null);
  t.equal(readAll(again).split('\n').at(-2), 'whole');
  sink.close();
  closeSync(again);
  closeSync(write);
});

const CHILD = `
  import { LineSink } from ${JSON.stringify(new URL('../../../src/flowlog/line-sink.ts', import.meta.url).href)};
  const sink = new LineSink(1);
  for (let count = 0; count < 20_000; count++) sink.write('x'.repeat(99) + '\\n');
  setTimeout(() => { process.stderr.write(JSON.stringify(sink.health())); sink.close(); process.exit(7); }, 20);
`;

t.test('a process whose standard output is full and unread still runs and ends', async (t) => {
  // First a socket, as under systemd, then a pipe, as under a shell.
  for (const stdout of ['pipe', 'fifo'] as const) {
    const ends = stdout === 'fifo' ? pipe(t.testdir()) : null;
    const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD], {
      stdio: ['ignore', ends?.write ?? 'pipe', 'pipe'],
    });
    child.stdout?.pause();
    let said = '';
    child.stderr?.on('data', (chunk) => {
      said += chunk;
    });
    const heard = once(child.stderr ?? child, 'end');
    const [code] = await once(child, 'exit');
    await heard;
    t.equal(code, 7, stdout);
    t.match(said, /"bufferedBytes":\d{4,}/, 'some were waiting');
    child.stdout?.destroy();
    for (const fd of ends === null ? [] : [ends.read, ends.write]) closeSync(fd);
  }
});
