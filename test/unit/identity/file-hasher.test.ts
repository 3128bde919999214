import { createHash } from 'node:crypto';
import { utimesSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { FileHasher } from '#src/identity/file-hasher.ts';

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
/** An hour on: every file of the test has been left alone for long. */
const later = { now: () => Date.now() + 3_600_000, monotonic: () => 0 };

async function digest(hasher: FileHasher, path: string) {
  const handle = await open(path);
  const answer = await hasher.digest(handle, await handle.stat({ bigint: true }));
  t.equal(handle.fd, -1, 'the handle is closed');
  return answer;
}

t.test('hashes files smaller and larger than a chunk', async (t) => {
  const dir = t.testdir();
  const hasher = new FileHasher({ clock: later });
  for (const size of [0, 1, 256 * 1024, 256 * 1024 + 1, 3_000_000]) {
    const data = Buffer.alloc(size, 'sluice');
    const path = join(dir, String(size));
    writeFileSync(path, data);
    t.strictSame(await digest(hasher, path), { sha256: sha256(data), final: true }, `${size} bytes`);
    t.strictSame(await digest(hasher, path), { sha256: sha256(data), final: true }, 'again, remembered');
  }
});

t.test('many at once are one reading each, and all are answered', async (t) => {
  const dir = t.testdir({ a: 'a', b: 'b' });
  const hasher = new FileHasher({ clock: later });
  const paths = Array.from({ length: 40 }, (_, index) => join(dir, index % 2 ? 'a' : 'b'));
  const answers = await Promise.all(paths.map((path) => digest(hasher, path)));
  for (const [index, answer] of answers.entries()) t.equal(answer.sha256, sha256(index % 2 ? 'a' : 'b'));
});

t.test('a file that changed is hashed again', async (t) => {
  const path = join(t.testdir({ f: 'before' }), 'f');
  const hasher = new FileHasher({ clock: later });
  t.equal((await digest(hasher, path)).sha256, sha256('before'));
  writeFileSync(path, 'after!');
  t.equal((await digest(hasher, path)).sha256, sha256('after!'));
});

t.test('a digest is not remembered while the file may change under the same time stamp', async (t) => {
  const path = join(t.testdir({ f: 'fresh' }), 'f');
  t.strictSame(await digest(new FileHasher(), path), { sha256: sha256('fresh'), final: false });
});

t.test('a file that changes while it is read has no digest', async (t) => {
  const path = join(t.testdir({ f: 'short' }), 'f');
  const hasher = new FileHasher({ clock: later });
  const handle = await open(path);
  const stat = await handle.stat({ bigint: true });
  writeFileSync(path, 'grown longer than that!');
  t.strictSame(await hasher.digest(handle, stat), { sha256: null, final: false });

  const again = await open(path);
  const before = await again.stat({ bigint: true });
  writeFileSync(path, 'other text of that size');
  utimesSync(path, 1, 1);
  t.strictSame(await hasher.digest(again, before), { sha256: null, final: false }, 'nor if it is as long');
});

t.test('a file that is too large is not read, for good', async (t) => {
  const handle = await open(join(t.testdir({ f: 'x' }), 'f'));
  const stat = Object.assign(await handle.stat({ bigint: true }), { size: 1024n ** 3n + 1n });
  t.strictSame(await new FileHasher().digest(handle, stat), { sha256: null, final: true });
});
