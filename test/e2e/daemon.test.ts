/** The daemon itself: what its workers may do, how it finds out that enforcement is gone, how it is replaced. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { apiSocketPath, DEFAULT_PIN_DIR } from '#src/api/paths.ts';
import { addon } from '#src/kernel/addon.ts';
import { pinPaths } from '#src/kernel/pins.ts';
import { must, run, until } from '#test/support/command.ts';
import { linkTarget } from '#test/support/residue.ts';
import { SLUICE, TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

t.setTimeout(240_000);
const world = await World.open();
t.teardown(() => world.close());
const sluice = await TestSluice.start(world);
const pins = pinPaths(DEFAULT_PIN_DIR);

const curl = ['curl', '-sS', '--max-time', '60', 'http://shop.test/'];

const linkIds = (): Record<string, number> =>
  Object.fromEntries(
    readdirSync(pins.links).map((name) => [name, addon().linkProgram(pins.link(name)).linkId]),
  );

function knowsSocket(path: string): boolean {
  const map = new (addon().BpfMap)(pins.map('sluice_unix_files'));
  const inode = Buffer.alloc(8);
  inode.writeBigUInt64LE(statSync(path, { bigint: true }).ino);
  const known = map.keys().some((key) => key.includes(inode));
  map.close();
  return known;
}

async function workerPids(): Promise<number[]> {
  return (await sluice.status()).workers.map(({ pid }) => pid ?? 0);
}

t.test('workers have no privilege, and nothing of the daemon is theirs to read', async (t) => {
  const user = (await must(['id', '-u', 'sluice'])).trim();
  for (const pid of await workerPids()) {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
      t.match(status, new RegExp(`^${set}:\\t0+$`, 'm'), set);
    t.match(status, /^NoNewPrivs:\t1$/m);
    t.match(status, new RegExp(`^Uid:\\t${user}\\t${user}\\t${user}\\t${user}$`, 'm'));
    t.match(status, /^Groups:\t *$/m, 'no supplementary group');
    for (const task of readdirSync(`/proc/${pid}/task`))
      t.match(
        readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8'),
        /^CapEff:\t0+$/m,
        'nor has any of its threads',
      );
    const core = /^Max core file size\s+(\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))?.[1];
    t.equal(core, '0', 'no core dumps');
    const files = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => linkTarget(`/proc/${pid}/fd/${fd}`) ?? []);
    const held = files.filter((file) => file.startsWith(world.dir) || file.includes('bpf'));
    t.same(held, [], 'it holds none of the daemon’s files, and no BPF object');
  }
  for (const path of [sluice.runtimeDir, sluice.stateDir, `${sluice.stateDir}/flows.db`, DEFAULT_PIN_DIR]) {
    const asWorker = ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', '--', 'cat', path];
    t.match((await run(asWorker)).stderr, /Permission denied/, path);
  }
});

t.test('connections are spread over the workers', async (t) => {
  for (let n = 0; n < 24; n += 1)
    await sluice.run(AGENTS.shop, ['sh', '-c', 'exec "$@" >/dev/null', 'sh', ...curl]);
  const workers = await until('both workers to have had some', async () => {
    const states = (await sluice.status()).workers;
    return states.every(({ accepted }) => accepted > 2) ? states : null;
  });
  t.equal(workers.length, 2);
});

t.test('what leaves offers the hybrid group first', async (t) => {
  const capture = await world.capture();
  await sluice.run(AGENTS.shop, curl);
  const flow = await sluice.waitForFlow((f) => f.agent === AGENTS.shop && f.verdict === 'allow');
  t.match(flow.tls, { version: 'TLSv1.3' });
  const hello = (await capture.conversations(443))
    .map(({ toServer }) => toServer)
    .find((bytes) => bytes[0] === 0x16);
  // supported_groups (RFC 8446 §4.2.7): type 10, two lengths, then X25519MLKEM768 (0x11ec) before any other.
  t.match(hello?.toString('hex'), /000a....(....)?11ec/);
});

t.test('a program that is taken away is noticed, and status says so', async (t) => {
  rmSync(pins.link('sluice_egress'));
  // The kernel detaches it some time after.
  const test = await until('it to be noticed', async () => {
    const found = await sluice.api.selfTest();
    return !found.ok && found;
  });
  t.match(test, { ok: false, detail: /sluice_egress/ });
  t.match(await sluice.status(), { enforcing: false, reasons: [/sluice_egress/] });
  t.equal((await sluice.cli(['status'])).code, 1);
  t.equal((await sluice.cli(['doctor'])).code, 1);
  await sluice.stop();
  await sluice.startDaemon();
  t.match(await sluice.status(), { enforcing: true, selfTest: { ok: true, detail: /tcp4 ok/ } });
});

t.test('a new daemon swaps the programs under the old links', async (t) => {
  const before = linkIds();
  const programs = (): Record<string, number> =>
    Object.fromEntries(
      readdirSync(pins.links).map((name) => [name, addon().linkProgram(pins.link(name)).programId]),
    );
  const oldPrograms = programs();
  const { code, stderr } = await sluice.stop();
  t.equal(code, 0);
  t.match(stderr, /SIGTERM: stopping/);
  t.notMatch(stderr, /died/, 'workers that were told to stop end by themselves');
  t.same(linkIds(), before, 'stopping leaves every link');
  await sluice.startDaemon();
  await until('it to say that it has started', async () =>
    / workers: enforcing/.test(sluice.daemon.stderr) ? true : null,
  );
  t.ok(knowsSocket(apiSocketPath(sluice.runtimeDir)), 'its own socket is among those that are closed');
  const tracing = ['sluice_attach', 'sluice_exec', 'sluice_exit', 'sluice_fork'];
  const kept = Object.entries(linkIds()).filter(([name]) => !tracing.includes(name));
  t.same(
    Object.fromEntries(kept),
    Object.fromEntries(Object.entries(before).filter(([name]) => !tracing.includes(name))),
    'the links are the same ones',
  );
  for (const [name, id] of Object.entries(programs())) t.not(id, oldPrograms[name], `${name} was replaced`);
  t.equal((await sluice.run(AGENTS.shop, curl)).code, 0);
});

t.test('a second daemon with directories of its own is refused too, whatever pins it is given', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-second-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, 'policy.yaml'), readFileSync(sluice.policyPath));
  const args = ['daemon', '--policy', join(dir, 'policy.yaml'), '--runtime-dir', dir, '--state-dir', dir];
  const start = (pinDir: string) =>
    world.near.run([SLUICE, ...args, '--pin-dir', pinDir], { timeoutMs: 120_000 });
  t.match(await start('/sys/fs/bpf/sluice-second'), { code: 1, stderr: /another Sluice/ });
  t.notOk(existsSync('/sys/fs/bpf/sluice-second'), 'and leaves no pin');
  t.match(await start(DEFAULT_PIN_DIR), { code: 1, stderr: /running already/ });
  t.match(await sluice.status(), { enforcing: true });
  t.equal((await sluice.run(AGENTS.shop, curl)).code, 0, 'the first one goes on');
});

t.test('a daemon that cannot start leaves no pins', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-broken-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, 'policy.yaml'), 'version: 1\nnonsense: true\n');
  const args = ['daemon', '--policy', join(dir, 'policy.yaml'), '--runtime-dir', dir, '--state-dir', dir];
  const pinDir = '/sys/fs/bpf/sluice-broken';
  const done = await world.near.run([SLUICE, ...args, '--pin-dir', pinDir], { timeoutMs: 120_000 });
  t.match(done, { code: 1, stderr: /nonsense/ });
  t.notOk(existsSync(pinDir));
});

t.test('uninstall waits for the daemon to go, then says what it removed', async (t) => {
  t.match(await sluice.cli(['uninstall', '--yes']), { code: 1, stderr: /running/ });
  await sluice.stop();
  t.match(await sluice.cli(['status']), { code: 3 });
  const done = await sluice.cli(['uninstall', '--yes']);
  t.match(done, { code: 0, stdout: /sluice_connect4/ });
  t.notOk(existsSync(DEFAULT_PIN_DIR));
  await sluice.startDaemon();
});
