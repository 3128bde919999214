import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { dropIn } from '#src/cli/harden-unit.ts';
import { writeDropIn } from '#src/cli/unit.ts';
import { temporaryDirectory } from '../api/temporary.ts';
import { testCli } from './in-process.ts';
import { setStage } from './script.ts';

t.test('prints the drop-in', async (t) => {
  const done = await testCli(['unit', 'harden', 'billing.service']);
  t.same(done, { code: 0, stdout: dropIn('billing.service'), stderr: '' });
});

t.test('wrong use', async (t) => {
  for (const args of [['billing'], ['../x.service'], ['sluice.service'], ['a.service', '--write', '--check']])
    t.match(await testCli(['unit', 'harden', ...args]), { code: 2, stdout: '', stderr: /\n {2}hint: \S/ });
  const done = await testCli(['unit', 'harden', '--check', 'worker@.service']);
  t.match(done, { code: 2, stderr: /an instance: sluice unit harden --check worker@NAME\.service/ });
});

t.test('installs it whole, over its own, for everybody to read', async (t) => {
  const units = temporaryDirectory(t);
  const before = process.umask(0o077);
  t.teardown(() => process.umask(before));
  const path = writeDropIn(units, 'worker@.service');
  t.equal(path, join(units, 'worker@.service.d/50-sluice.conf'));
  t.equal(readFileSync(path, 'utf8'), dropIn('worker@.service'));
  t.equal(statSync(path).mode & 0o777, 0o644);

  const first = statSync(path).ino;
  writeFileSync(path, `${readFileSync(path, 'utf8')}# changed since\n`);
  writeDropIn(units, 'worker@.service');
  t.equal(readFileSync(path, 'utf8'), dropIn('worker@.service'));
  t.not(statSync(path).ino, first, 'by another file in its place');
  t.same(readdirSync(join(units, 'worker@.service.d')), ['50-sluice.conf'], 'and nothing beside it');
});

t.test('refuses to overwrite what it did not write', async (t) => {
  const units = temporaryDirectory(t);
  const path = join(units, 'a.service.d/50-sluice.conf');
  mkdirSync(join(path, '..'));
  for (const text of ['', '[Service]\n', `[Service]\n${dropIn('a.service')}`]) {
    writeFileSync(path, text);
    t.throws(() => writeDropIn(units, 'a.service'), { code: 'CONFIG', hint: /move it away/ });
    t.equal(readFileSync(path, 'utf8'), text);
  }
  symlinkSync('/dev/null', join(units, 'b.service.d'));
  t.throws(() => writeDropIn(units, 'b.service'), 'nor does it go where no directory is');
  t.same(readdirSync(join(path, '..')), ['50-sluice.conf']);
});

t.test('--check asks systemctl', async (t) => {
  const stage = await setStage(t, null);
  const systemctl = join(stage.directory, 'systemctl');
  const answer = (text: string): void => {
    writeFileSync(systemctl, `#!/bin/sh\necho "$@" > ${stage.directory}/asked\n${text}\n`);
    chmodSync(systemctl, 0o755);
  };
  const check = () => stage.sh('PATH=$PWD:$PATH sluice unit harden --check a.service');

  answer('echo LoadState=loaded; echo NoNewPrivileges=yes');
  const lacking = await check();
  t.match(lacking, {
    code: 1,
    stdout: /^CapabilityBoundingSet= leaves CAP_NET_RAW[\s\S]*After= has no sluice.service\n$/,
    stderr: '  hint: sluice unit harden --write a.service && systemctl daemon-reload\n',
  });
  t.notMatch(lacking.stdout, /NoNewPrivileges/);
  t.match(
    readFileSync(join(stage.directory, 'asked'), 'utf8'),
    /^show --property=LoadState,\S+ -- a\.service\n$/,
  );

  answer('echo LoadState=not-found');
  t.match(await check(), { code: 1, stderr: /systemd has no unit a\.service: not-found\n {2}hint: / });
  answer('echo "Failed to connect to bus" >&2; exit 1');
  t.match(await check(), { code: 1, stderr: /a\.service failed: Failed to connect to bus\n {2}hint: / });
  t.notOk(existsSync(join(stage.directory, 'a.service.d')));
});
