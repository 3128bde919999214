import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Cache, cacheDirectory, clearScratch, digest } from '#test/vm/cache.ts';

t.test('where it is', async (t) => {
  t.equal(cacheDirectory({}), '/var/cache/sluice-vm');
  t.equal(cacheDirectory({ SLUICE_VM_CACHE: '/elsewhere' }), '/elsewhere');
});

t.test('a thing is made once for each recipe', async (t) => {
  const cache = new Cache(t.testdir());
  let made = 0;
  const make = async (directory: string): Promise<void> => {
    made += 1;
    writeFileSync(join(directory, 'thing'), `${made}`);
  };
  const path = await cache.get('kind/name', 'one', make);
  t.equal(await cache.get('kind/name', 'one', make), path);
  t.equal(made, 1);
  await cache.get('kind/name', 'two', make);
  t.equal(readFileSync(join(path, 'thing'), 'utf8'), '2', 'another recipe takes its place');
  t.notOk(cache.has('kind/name', 'one'));

  const fresh = new Cache(cache.directory, true);
  await fresh.get('kind/name', 'two', make);
  await fresh.get('kind/name', 'two', make);
  t.equal(made, 3, 'refreshed once a run');
});

t.test('what could not be made is not there, nor its rubbish', async (t) => {
  const cache = new Cache(t.testdir());
  await t.rejects(
    cache.get('kind/name', 'one', async (directory) => {
      writeFileSync(join(directory, 'half'), '');
      throw new Error('the mirror is gone');
    }),
    /the mirror is gone/,
  );
  t.notOk(existsSync(join(cache.directory, 'kind/name')));
  t.same(readdirSync(join(cache.directory, 'tmp')), []);
});

t.test('scratch directories of runs that are no more go with the next one', async (t) => {
  const cache = new Cache(t.testdir());
  const tmp = join(cache.directory, 'tmp');
  mkdirSync(join(tmp, 'guest-999999999-0'));
  const own = cache.scratch('guest');
  t.same(readdirSync(tmp), [own.slice(tmp.length + 1)]);
  clearScratch(cache.directory);
  t.same(readdirSync(tmp), []);
});

t.test('a digest is of the parts and of where they end', async (t) => {
  t.not(digest('ab', 'c'), digest('a', 'bc'));
  t.match(digest('x'), /^[0-9a-f]{16}$/);
});
