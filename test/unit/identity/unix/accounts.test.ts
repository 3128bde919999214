import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Accounts, parseNames } from '#src/identity/unix/accounts.ts';

t.test('reads passwd and group, and passes over what is neither', async (t) => {
  const names = parseNames(
    'root:x:0:0::/:/bin/sh\n\n# note\n+::::\nbad:x:-1:\n:x:7:\ntoor:x:0:0::/:\na:x:12\n',
  );
  t.strictSame(
    [...names],
    [
      [0, 'root'],
      [12, 'a'],
    ],
  );
});

t.test('follows changes, looks at most every two seconds, and survives a missing file', async (t) => {
  const dir = t.testdir({ passwd: 'bill:x:1001:1001::/:\n' });
  let nowMs = 0;
  const accounts = new Accounts(dir, { now: () => nowMs, monotonic: () => nowMs });
  t.equal(await accounts.user(1001), 'bill');
  t.equal(await accounts.user(1002), null);
  t.equal(await accounts.group(1001), null, 'no such file');
  writeFileSync(join(dir, 'next'), 'william:x:1001:1001::/:\n');
  renameSync(join(dir, 'next'), join(dir, 'passwd'));
  t.equal(await accounts.user(1001), 'bill');
  nowMs = 2_000;
  t.equal(await accounts.user(1001), 'william');
  renameSync(join(dir, 'passwd'), join(dir, 'gone'));
  nowMs = 4_000;
  t.equal(await accounts.user(1001), 'william');
});
