/**
 * The whole under a real systemd: the daemon is the unit that is shipped, agents are units and a slice, and the host
 * is the guest itself. The capture beyond it is the judge.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { must, run, until } from '#test/support/command.ts';
import { PLAIN_HTTP_PORT, RESPONSE_MARKER } from '#test/support/nginx.ts';
import { isEmulated, patience } from '#test/support/patience.ts';
import { wireOf } from '#test/support/pcap.ts';
import { POSTGRES } from '#test/support/postgres.ts';
import { CommandUnit, POLICY_FILE, show, sluice } from '#test/support/systemd.ts';
import {
  ALL_ALLOWED,
  answer,
  closeSystemdField,
  log,
  openSystemdField,
  REQUEST_MARKER,
} from '#test/support/systemd-field.ts';

t.setTimeout(120_000 * patience);
const QUERY_MARKER = 'QUERY-MARKER-0a9c';
const MARKERS = [REQUEST_MARKER, RESPONSE_MARKER, QUERY_MARKER, POSTGRES.rowMarker, POSTGRES.password];
const field = await openSystemdField(['nginx', 'postgres'], (step) => t.comment(step));
t.teardown(() => closeSystemdField(field));
const { world, capture, api, billing, batch, reports, bystander } = field;
const database = `host=${POSTGRES.name} dbname=${POSTGRES.database} user=${POSTGRES.user} sslmode=disable`;
const ledger = await CommandUnit.make(
  'ledger.service',
  world.dir,
  `/bin/sh -c 'psql -XAtq "${database}" -c "select secret from vault /* ${QUERY_MARKER} */"; code=$$?; sleep 2; exit $$code'`,
  `Environment=PGPASSWORD=${POSTGRES.password}\n`,
);

t.test('the unit is ready when agents are governed, and says so by sd_notify', async (t) => {
  const started = await run(['systemctl', 'enable', '--now', 'sluice'], { timeoutMs: 120_000 });
  t.equal(started.code, 0, started.stderr + (await log()));
  const status = await api.status();
  t.equal(status.enforcing, true, 'at once: systemctl start has waited for it');
  // In a container the host's kernel decides, which may list the BPF LSM and take no program for it.
  if (isEmulated)
    t.equal(status.tier, 'lsm', "by the programs that fired: Debian's kernels have the BPF LSM");
  const unit = await show('sluice', 'Type', 'ActiveState', 'StatusText');
  t.match(unit, {
    Type: 'notify',
    ActiveState: 'active',
    StatusText: `enforcing policy ${status.policy.revision}`,
  });
});

t.test('the unit is as closed as it is written', async (t) => {
  const { MainPID: pid = '' } = await show('sluice', 'MainPID');
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)$`, 'm').exec(status)?.[1] ?? '';
  // DAC_OVERRIDE, KILL, SETGID, SETUID, SETPCAP, NET_ADMIN, SYS_PTRACE, SYS_ADMIN, PERFMON, BPF.
  const bits = [1, 5, 6, 7, 8, 12, 19, 21, 38, 39].reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n);
  t.equal(BigInt(`0x${field('CapBnd')}`), bits);
  t.match({ seccomp: field('Seccomp'), privileges: field('NoNewPrivs') }, { seccomp: '2', privileges: '1' });
  const written = await run([
    'nsenter',
    `--target=${pid}`,
    '--mount',
    '--',
    'touch',
    '/usr/written',
    '/etc/written',
  ]);
  t.match(written, { code: 1, stderr: /usr.*Read-only[\s\S]*etc.*Read-only/ });
  t.equal(
    (await must(['stat', '-c', '%a %U', '/run/sluice', '/var/lib/sluice'])).trim(),
    '700 root\n700 root',
  );
  const workers = (await api.status()).workers;
  for (const worker of workers) {
    const facts = readFileSync(`/proc/${worker.pid}/status`, 'utf8');
    t.match(facts, /^CapEff:\s*0+$/m);
    t.match(facts, /^CapBnd:\s*0+[0-9a-f]{0,2}$/m);
    t.notMatch(facts, /^Uid:\s*0/m);
  }
  const { exposure } =
    /(?<exposure>[\d.]+) \w+ \S*$/.exec(await must(['systemd-analyze', 'security', '--no-pager', 'sluice']))
      ?.groups ?? {};
  t.comment(`systemd-analyze security: ${exposure}`);
});

t.test('a service, a service of a slice, and an instance of a template', async (t) => {
  const cases = [
    [billing, 'billing'],
    [batch, 'batch'],
    [reports, 'reports'],
  ] as const;
  for (const [unit, name] of cases) {
    const done = await unit.run();
    t.match(done, { code: 0, output: answer(name) }, `${name}: ${await log()}`);
    const entry = await world.nginx.waitForEntry((e) => e.request.includes(`/${name} `));
    t.match(entry.tls, /^TLSv1\.[23]$/);
  }
  const any = { sinceMs: null, destination: null, disposition: null, verdict: null, limit: 100 };
  for (const [unit, name] of cases) {
    const [flow] = await until('the record', async () => {
      const flows = await api.flows({ ...any, agent: name });
      return flows.length > 0 ? flows : null;
    });
    t.match(flow, {
      disposition: 'upgraded',
      verdict: 'allow',
      src: { unit: unit.name },
      tls: { server_name: 'shop.test' },
    });
  }
  t.match(await bystander.run(), { code: 0, output: 'hello' }, 'who is no agent is let alone');
});

t.test('psql without TLS reaches a PostgreSQL that takes nothing else', async (t) => {
  const done = await ledger.run();
  t.match(done, { code: 0, output: `${POSTGRES.rowMarker}\n` }, await log());
  await world.postgres.waitForLog(/SSL enabled/);
  const [flow] = await until('the record', async () => {
    const any = { sinceMs: null, destination: null, disposition: null, verdict: null, limit: 100 };
    const flows = await api.flows({ ...any, agent: 'ledger' });
    return flows.length > 0 ? flows : null;
  });
  t.match(flow, {
    disposition: 'upgraded',
    verdict: 'allow',
    src: { unit: 'ledger.service' },
    tls: { server_name: POSTGRES.name },
  });
});

t.test('restarted: another daemon, and agents as before', async (t) => {
  const { MainPID: before } = await show('sluice', 'MainPID');
  await must(['systemctl', 'restart', 'sluice'], { timeoutMs: 120_000 });
  t.not((await show('sluice', 'MainPID'))['MainPID'], before);
  t.equal((await api.status()).enforcing, true);
  t.match(await billing.run(), { code: 0, output: answer('billing') }, await log());
});

t.test('reload: the new policy holds, a broken one changes nothing', async (t) => {
  const before = (await api.status()).policy.revision;
  writeFileSync(POLICY_FILE, field.policy(['billing', 'batch']));
  await must(['systemctl', 'reload', 'sluice']);
  const after = await until('the new policy', async () => {
    const { revision } = (await api.status()).policy;
    return revision === before ? null : revision;
  });
  await until('the state in systemctl status', async () =>
    ((await show('sluice', 'StatusText'))['StatusText'] ?? '').includes(after),
  );
  t.match((await reports.run()).output, /^(?!.*RESPONSE-MARKER)/);
  t.match(await billing.run(), { code: 0, output: answer('billing') });
  writeFileSync(POLICY_FILE, 'version: 1\nnonsense: true\n');
  await must(['systemctl', 'reload', 'sluice']);
  await until('the refusal in the journal', async () => (await log()).includes('stays in force'));
  t.equal((await api.status()).policy.revision, after);
  t.equal((await show('sluice', 'ActiveState'))['ActiveState'], 'active');
  writeFileSync(POLICY_FILE, field.policy(ALL_ALLOWED));
});

t.test('stopped: the gate stays shut; uninstalled: nothing is left', async (t) => {
  await must(['systemctl', 'disable', '--now', 'sluice'], { timeoutMs: 60_000 });
  t.equal((await show('sluice', 'ActiveState', 'Result'))['ActiveState'], 'inactive');
  t.notOk(existsSync('/run/sluice'));
  t.equal(await must(['sh', '-c', 'pgrep -u sluice || true']), '', 'no worker is left');
  const before = (await capture.packets()).length;
  t.not((await billing.run()).code, 0);
  t.equal((await capture.packets()).length, before);

  // All that agents have sent up to here.
  await capture.assertNoPlaintext(MARKERS);
  const crossed = (await capture.conversations()).filter((c) => c.serverPort !== PLAIN_HTTP_PORT);
  t.strictSame(new Set(crossed.map((c) => wireOf(c.toServer))), new Set(['tls', 'postgres-tls']));
  t.ok(crossed.length >= 5);

  const done = await sluice('uninstall');
  t.equal(done.code, 0, done.stdout + done.stderr);
  t.notOk(existsSync('/sys/fs/bpf/sluice'));
  t.notOk(existsSync('/sys/fs/cgroup/sluice'));
  // The kernel frees programs some time after their last reference, and the maps they use after that.
  for (const what of ['prog', 'map'])
    await until(
      `each ${what} to be freed`,
      async () => !/\bname sluice_/.test(await must(['bpftool', what, 'list'])),
      60_000,
    );
  // Ungoverned, it meets the closed port 80 of the far side: the programs made the difference, and are gone.
  t.match(await billing.run(), { code: 7, output: /Failed to connect|Couldn't connect/ });
  t.ok((await capture.conversations(80)).length > 0);
});
