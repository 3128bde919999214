/**
 * Every way a process becomes an agent but `sluice run`, end to end: by unit, cgroup, executable and uid. And what
 * stands where policy names no CA: the system's store.
 */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { findCgroup2 } from '#src/kernel/cgroup.ts';
import { type Finished, until } from '#test/support/command.ts';
import { SLUICE, TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';

t.setTimeout(240_000);
const world = await World.open(['nginx']);
const root = findCgroup2();
const unit = `sluice-test-${process.pid}.service`;
const unitPath = `/system.slice/${unit}`;
const plainPath = `/sluice-test-${process.pid}/jobs`;
const UID = 61_342;
const template = `sluice-test-${process.pid}@`;
const exe = join(world.dir, 'agent-curl');
const pinned = join(world.dir, 'pinned-curl');

const made: string[] = [];
function makeCgroup(path: string): void {
  const parent = dirname(path);
  if (parent !== '/' && !existsSync(`${root}${parent}`)) makeCgroup(parent);
  if (existsSync(`${root}${path}`)) return;
  mkdirSync(`${root}${path}`);
  made.unshift(path);
}
t.teardown(async () => {
  await world.close();
  for (const path of made) rmdirSync(`${root}${path}`);
});

copyFileSync('/usr/bin/curl', exe);
copyFileSync('/usr/bin/curl', pinned);
const sha256 = createHash('sha256').update(readFileSync(pinned)).digest('hex');
const policy = `version: 1
trust_domain: world.test
identity: { spiffe_id: 'spiffe://{trust_domain}/agent/{agent}' }
agents:
  - { name: by-unit, groups: [units], match: [{ unit: ${unit} }] }
  - { name: by-template, match: [{ unit: '${template}*.service' }] }
  - { name: by-pin, match: [{ exe: { path: ${pinned}, sha256: ${sha256} } }] }
  - { name: by-cgroup, match: [{ cgroup: ${plainPath} }] }
  - { name: by-exe, match: [{ exe: ${exe} }] }
  - { name: by-uid, match: [{ uid: ${UID} }] }
destinations:
  - name: web
    hosts: [shop.test]
    ports: [80]
    protocol: http
    port_map: { 80: 443 }
rules:
  - { name: all-to-web, action: allow, destinations: [web], agents: [by-unit, by-template, by-pin, by-cgroup, by-exe, by-uid] }
`;

// The world's CA takes the place of the host's store, for this daemon alone.
const store = '/etc/ssl/certs/ca-certificates.crt';
const bundle = join(world.dir, 'system-store.pem');
writeFileSync(bundle, readFileSync(world.pki.ca));
const withStore = `mount --bind "$0" ${store} && exec "$@"`;
const sluice = await TestSluice.start(world, {
  policy,
  wrapper: ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', withStore, bundle],
});
const capture = await world.capture();

const SECRET = 'ENROLLED-SECRET-5b1f';
const request = ['-sS', '--max-time', '60', `http://shop.test/${SECRET}`];

/** Runs a bystander's command line in a cgroup that was made for it. */
function inCgroup(path: string, argv: readonly string[]): Promise<Finished> {
  makeCgroup(path);
  const enter = ['sh', '-c', 'echo 0 > "$0/cgroup.procs" && exec "$@"', `${root}${path}`, ...argv];
  return world.near.run(world.agentCommand(enter));
}

async function assertAgent(t: Test, name: string, done: Finished): Promise<void> {
  t.match(done, { code: 0, stdout: /over TLSv1\.3/ }, done.stderr);
  const flow = await sluice.waitForFlow((record) => record.agent === name);
  t.match(flow, {
    disposition: 'upgraded',
    verdict: 'allow',
    rule: 'all-to-web',
    identity: { spiffe_id: `spiffe://world.test/agent/${name}` },
    tls: { server_name: 'shop.test' },
  });
}

t.test('by systemd unit, whose cgroup comes after the policy', async (t) => {
  await assertAgent(t, 'by-unit', await inCgroup(unitPath, ['curl', ...request]));
  const flow = await sluice.waitForFlow((record) => record.agent === 'by-unit');
  t.match(flow.src, { unit, cgroup: unitPath, exe: '/usr/bin/curl', exe_sha256: /^[0-9a-f]{64}$/ });
  t.ok(flow.identity.selectors.includes(`systemd:unit:${unit}`));
  t.same(flow.identity.groups, ['units']);
});

t.test('by unit when the cgroup was made anew, and from one below it', async (t) => {
  rmdirSync(`${root}${unitPath}`);
  made.splice(made.indexOf(unitPath), 1);
  t.equal((await inCgroup(`${unitPath}/inner`, ['curl', ...request])).code, 0);
  const flows = await sluice.waitForFlows(2, (record) => record.agent === 'by-unit');
  t.ok(flows.some((flow) => flow.src.cgroup === `${unitPath}/inner`));
});

t.test('by cgroup path', async (t) => {
  await assertAgent(t, 'by-cgroup', await inCgroup(plainPath, ['curl', ...request]));
});

t.test('by template, of which an instance comes after the policy', async (t) => {
  // As systemd escapes it: a dash in the template's name would nest slices.
  const slice = `system-${template.slice(0, -1).replaceAll('-', '\\x2d')}.slice`;
  const path = `/system.slice/${slice}/${template}new.service`;
  await assertAgent(t, 'by-template', await inCgroup(path, ['curl', ...request]));
});

t.test('by pinned executable: another file in its place is governed, and none', async (t) => {
  const asked = (): Promise<Finished> => world.near.run(world.agentCommand([pinned, '-i', ...request]));
  await assertAgent(t, 'by-pin', await world.near.run(world.agentCommand([pinned, ...request])));
  const put = (change: (path: string) => void): void => {
    copyFileSync('/usr/bin/curl', `${pinned}.fresh`);
    change(`${pinned}.fresh`);
    renameSync(`${pinned}.fresh`, pinned);
  };
  put((path) => appendFileSync(path, 'x'));
  t.match((await asked()).stdout, /^HTTP\/1\.1 403/, 'at once');
  await until('status to say so', async () =>
    (await sluice.status()).reasons.some((reason) => reason.includes('not the file that policy pins')),
  );
  t.match((await asked()).stdout, /^HTTP\/1\.1 403/, 'and when it has been looked at');
  put(() => undefined);
  t.match((await asked()).stdout, /^HTTP\/1\.1 (403|200)/, 'governed in between as well');
  await until('the right one to be the agent', async () => (await asked()).stdout.includes('200 OK'));
});

t.test('by executable, wherever it runs', async (t) => {
  await assertAgent(t, 'by-exe', await world.near.run(world.agentCommand([exe, ...request])));
});

t.test('by uid', async (t) => {
  const asUser = ['setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', '--', 'curl', ...request];
  await assertAgent(t, 'by-uid', await world.near.run(world.agentCommand(asUser)));
});

t.test('a server the store does not know is refused', async (t) => {
  const done = await inCgroup(plainPath, ['curl', '-sS', '-i', 'http://unknown-ca.test/']);
  t.match(done.stdout, /^HTTP\/1\.1 (403|502)/);
});

t.test('following shows each flow as it ends', async (t) => {
  const follow = world.near.start([
    SLUICE,
    'flows',
    '--follow',
    '--agent',
    'by-uid',
    '--output',
    'json',
    '--runtime-dir',
    sluice.runtimeDir,
  ]);
  t.teardown(() => follow.stop('SIGINT'));
  const asUser = ['setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', '--', 'curl', ...request];
  await until('a flow to be shown', async () => {
    await world.near.run(world.agentCommand(asUser));
    return follow.stdout.includes('\n');
  });
  t.match(JSON.parse(follow.stdout.split('\n')[0] ?? ''), { agent: 'by-uid', disposition: 'upgraded' });
});

t.test('flows of a daemon that was killed are on record when the next one comes', async (t) => {
  // Holds a connection open across the daemon's end: what is left of it waits in the pinned ring.
  const script = `
import socket, time
s = socket.create_connection(("shop.test", 80)); s.sendall(b"GET / HTTP/1.1\\r\\nHost: shop.test\\r\\n\\r\\n"); s.recv(100)
print("open", flush=True); time.sleep(20)`;
  const asUser = [
    'setpriv',
    `--reuid=${UID}`,
    `--regid=${UID}`,
    '--clear-groups',
    '--',
    '/usr/bin/python3',
    '-c',
    script,
  ];
  const holder = world.near.start(world.agentCommand(asUser));
  await holder.waitFor((running) => running.stdout.includes('open'));
  await sluice.stop('SIGKILL');
  await sluice.startDaemon();
  const flow = await sluice.waitForFlow((record) => record.reason === 'daemon_died');
  t.match(flow, { verdict: 'error', src: { uid: UID }, dst: { port: 80 } });
  await holder.stop('SIGKILL');
});

t.test('after all of it: nothing crossed in plain text', async () => {
  await capture.assertNoPlaintext([SECRET]);
  await capture.assertAllTls();
});
