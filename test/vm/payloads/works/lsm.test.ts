/**
 * The third layer, where the kernel has the BPF LSM: families no other hook sees, sockets of others in an agent's
 * hands, and Unix sockets behind which somebody would do its bidding. The far side's capture is the judge.
 */
import { linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { release } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { findCgroup2, removeCgroup } from '#src/kernel/cgroup.ts';
import { needsSpliceHook } from '#src/kernel/lsm.ts';
import { DEFAULT_PIN_DIRECTORY, lsmPrograms, pinPaths } from '#src/kernel/pins.ts';
import { must, run, until } from '#test/support/command.ts';
import { FAR, NEAR } from '#test/support/network.ts';
import { patience } from '#test/support/patience.ts';
import { RAW_PORTS } from '#test/support/raw-ports.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { install, makeWorkerUser, sluice as sluiceCommand } from '#test/support/systemd.ts';
import { type Attempts, connectFrom, tryAll } from '#test/support/third-layer.ts';
import { World } from '#test/support/world.ts';

t.setTimeout(120_000 * patience);
const world = await World.open(['raw'], (step) => t.comment(step));
t.teardown(() => world.close());
const base = `${findCgroup2()}/sluice-lsm-test`;
mkdirSync(base, { recursive: true });
world.beforeClose(() => until('the cgroup to be empty', () => removeCgroup(base)));
const engine = join(world.dir, 'engine.sock');

function serve(): Promise<Server> {
  rmSync(engine, { force: true });
  const server = createServer((socket) => socket.resume());
  return new Promise((resolve) => server.listen(engine, () => resolve(server)));
}

const server = await serve();
t.teardown(() => server.close());
const aliases = { own: engine, symbolic: join(world.dir, 'link.sock'), hard: join(world.dir, 'hard.sock') };
symlinkSync(engine, aliases.symbolic);
linkSync(engine, aliases.hard);
const mounted = join(world.dir, 'mounted.sock');
writeFileSync(mounted, '');
await must(['mount', '--bind', engine, mounted]);
world.beforeClose(() => must(['umount', mounted]));

const policy = (minimum: string): string => `version: 1
dns: { resolvers: [${FAR.ipv4}] }
enforcement: { minimum: ${minimum} }
unix_sockets: { deny: [${engine}] }
agents:
  - { name: third, match: [{ cgroup: /sluice-lsm-test }] }
destinations:
  - { name: far, cidrs: [${FAR.ipv4}], ports: [${RAW_PORTS.plain}], protocol: tls, tls: { server_name: raw.test } }
rules:
  - { name: all, agents: [third], destinations: [far], action: allow }
`;

const options = (cgroup: string | null, canary: string) => ({
  cgroup,
  address: FAR.ipv4,
  port: RAW_PORTS.plain,
  device: NEAR.device,
  canary,
  unix: { ...aliases, mounted },
});

/** What an agent is told; what is not here is `ok`. */
const REFUSED = [
  ...['packet', 'vsock', 'can', 'bluetooth', 'xdp', 'tipc', 'mctp', 'obsolete-packet'],
  ...['send', 'write', 'sendfile', 'splice', 'udp', 'inherited-packet', 'accept'],
  ...['scm-rights', 'scm-rights-unix', 'pidfd'],
  ...[
    'connect-mptcp',
    'connect-sctp',
    'connectx-sctp',
    'connectx-get-sctp',
    'mount-sockfs',
    'mount-call-nfs',
  ],
  ...['unix-own', 'unix-symbolic', 'unix-hard', 'unix-mounted', 'unix-inherited'],
];

function refused(attempts: Attempts): string[] {
  return Object.entries(attempts)
    .filter(([, said]) => said === 'EPERM')
    .map(([name]) => name)
    .sort();
}

await makeWorkerUser();
// As an operator may have done: agents load no module.
for (const name of ['sctp', 'nfsv4']) await run(['modprobe', '--quiet', name]);
const capture = await world.capture();
const sluice = await TestSluice.start(world, { policy: policy('lsm'), workers: 1 });

t.test('the tier is what was measured', async (t) => {
  const status = await sluice.status();
  t.match(status, { tier: 'lsm', tierReason: null, enforcing: true, reasons: [] });
  t.match(
    status.selfTest?.detail,
    /lsm_create ok, lsm_send ok, lsm_accept ok, lsm_receive ok, lsm_connect ok, lsm_mount ok, lsm_unix ok/,
  );
  const expected = Object.keys(lsmPrograms).filter(
    (name) => name !== 'sluice_lsm_splice' || needsSpliceHook(release()),
  );
  const attached = status.programs.filter(({ attachType }) => attachType.startsWith('lsm '));
  t.same(attached.map(({ name }) => name).sort(), expected.sort());
  const doctor = await sluice.cli(['doctor']);
  t.match(doctor.stdout, /^ok {4}tier {10}lsm: /m);
});

t.test('an agent is refused all of it, and a bystander nothing', async (t) => {
  const bystander = await tryAll(world, options(null, 'CANARY-BYSTANDER'));
  t.same(refused(bystander), []);
  const agent = await tryAll(world, options(base, 'CANARY-AGENT'));
  t.same(refused(agent), [...REFUSED].sort(), JSON.stringify(agent));
  t.match(agent, { netlink: 'ok', 'unix-open': 'ok', 'own-connect': 'ok' });
  for (const name of ['mount-tmpfs', 'mount-debugfs', 'mount-ext4', 'mount-proc', 'mount-call-tmpfs'])
    t.equal(agent[name], 'ok', name);
  t.match(bystander, { send: 'ok', splice: 'ok', udp: 'ok', pidfd: 'ok', 'inherited-packet': 'ok' });

  const wire = async (): Promise<Buffer> => capture.bytes();
  for (const name of [
    'send',
    'write',
    'sendfile',
    'splice',
    'udp',
    'inherited-packet',
    'scm-rights',
    'pidfd',
  ])
    t.ok((await wire()).includes(`CANARY-BYSTANDER-${name};`), `the judge sees it: ${name}`);
  t.notOk((await wire()).includes('CANARY-AGENT'), 'nothing of an agent is on the wire');
});

t.test('refusals are counted and told, with agent, process and tier', async (t) => {
  const { denials } = await sluice.status();
  const counted = Object.fromEntries(
    denials.filter(({ agent }) => agent === 'third').map(({ technique, count }) => [technique, count]),
  );
  t.match(counted, {
    socket_family: 8,
    foreign_send: 6,
    foreign_accept: 1,
    foreign_receive: 2,
    foreign_connect: 4,
    foreign_mount: 2,
    unix_connect: 4,
    unix_send: 1,
    unix_receive: 1,
  });
  const vsock = await sluice.waitForFlow(
    (r) => r.technique === 'socket_family' && (r.detail ?? '').includes('AF_VSOCK'),
  );
  t.match(vsock, { agent: 'third', tier: 'lsm', verdict: 'deny', reason: 'socket_denied' });
  // What the kernel says of it; its start and program may be found or not, for it is gone by now.
  t.match(vsock.src, { pid: Number, uid: 0 });
  const unix = await sluice.waitForFlow((r) => r.technique === 'unix_connect');
  t.match(unix, { reason: 'unix_denied', detail: `connect() to ${engine}: ` });
  const send = await sluice.waitForFlow(
    (r) => r.technique === 'foreign_send' && r.dst.port === RAW_PORTS.plain,
  );
  t.match(send, { reason: 'foreign_socket', dst: { ip: FAR.ipv4 } });
});

t.test('a socket that is made anew is closed before the daemon has looked', async (t) => {
  sluice.kill('SIGSTOP');
  const again = await serve();
  world.beforeClose(async () => void again.close());
  const done = await connectFrom(world, base, engine);
  sluice.kill('SIGCONT');
  t.not(done.code, 0);
  t.match(done.stderr, /PermissionError/);
  // Under another name it is known when the daemon has found its inode.
  rmSync(aliases.hard);
  linkSync(engine, aliases.hard);
  await until('the new inode to be known', async () => {
    const other = await connectFrom(world, base, aliases.hard);
    return other.stderr.includes('PermissionError');
  });
});

t.test('another daemon takes over without a gap in what is attached', async (t) => {
  await sluice.stop();
  const between = await tryAll(world, options(base, 'CANARY-AGENT')).catch(String);
  t.match(between, { vsock: 'EPERM', send: 'EPERM', 'unix-own': 'EPERM' }, 'the pins stay');
  await sluice.startDaemon();
  t.match(await sluice.status(), { tier: 'lsm', enforcing: true });
});

t.test('a program that is gone lowers the tier, and a policy that demands it is not enforced', async (t) => {
  rmSync(pinPaths(DEFAULT_PIN_DIRECTORY).link('sluice_lsm_send'));
  t.match(await sluice.api.selfTest(), { ok: false, detail: /demands the enforcement tier lsm/ });
  const status = await sluice.status();
  t.match(status, { tier: 'base', enforcing: false, tierReason: /sluice_lsm_send/ });
  t.notOk((await capture.bytes()).includes('CANARY-AGENT'));
  await sluice.api.applyPolicy({ path: sluice.policyPath, text: policy('base') });
  t.match(await sluice.api.selfTest(), { ok: true });
  const fallen = /the tier has fallen to base: .*sluice_lsm_send/;
  t.ok((await sluice.status()).reasons.some((reason) => fallen.test(reason)));
  await t.rejects(sluice.api.applyPolicy({ path: sluice.policyPath, text: policy('lsm') }), {
    message: /demands the enforcement tier lsm/,
  });
});

t.test('uninstalling opens all of it', async (t) => {
  await sluice.uninstall();
  t.same(refused(await tryAll(world, options(base, 'CANARY-FREE'))), []);
});

t.test('the unit that is shipped has what it takes', async (t) => {
  await install(policy('lsm'));
  const started = await run(['systemctl', 'start', 'sluice'], { timeoutMs: 120_000 });
  t.equal(started.code, 0, (await run(['journalctl', '-u', 'sluice', '--no-pager'])).stdout);
  await run(['systemctl', 'stop', 'sluice']);
  await sluiceCommand('uninstall');
});
