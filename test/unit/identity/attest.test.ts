import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Attestor, type AttestorOptions } from '#src/identity/attest.ts';
import { BootClock } from '#src/identity/boot-clock.ts';
import { kernelDevice } from '#src/identity/file-id.ts';
import { parseStartTicks } from '#src/identity/process.ts';
import { FakeHost, facts as someFacts } from '#test/unit/identity/fake-proc.ts';

const POLICY = {
  trustDomain: 'example.org',
  spiffeTemplate: 'spiffe://{trust_domain}/{agent}{exe}',
  agents: [{ id: 99, name: 'billing', groups: ['finance', 'eu'] }],
};
/** An hour on, so that the files of a test count as settled. */
const later = { now: () => Date.now() + 3_600_000, monotonic: () => performance.now() };
const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');

function setUp(dir: string, some: Partial<AttestorOptions> = {}) {
  const host = new FakeHost(dir);
  const exe = host.executable('agent', 'the program');
  const facts = host.process({ pid: 500, ticks: 777n, exe, cgroup: '/system.slice/pay@eu\\x2dwest.service' });
  const attestor = new Attestor({
    procRoot: host.procRoot,
    cgroupRoot: host.cgroupRoot,
    etcRoot: host.etcRoot,
    policy: () => POLICY,
    clock: later,
    bootClock: new BootClock({ clock: later, readUptime: () => '3600.00 1\n' }),
    ...some,
  });
  return { host, exe, facts, attestor };
}

t.test('everything about a living process', async (t) => {
  const { exe, facts, attestor } = setUp(t.testdir());
  const attested = await attestor.attest(facts);
  t.equal(attested.exe, exe);
  t.equal(attested.exeSha256, sha256('the program'));
  t.equal(attested.cgroup, '/system.slice/pay@eu\\x2dwest.service');
  t.equal(attested.unit, 'pay@eu\\x2dwest.service');
  t.match(attested.startedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  t.match(attested.spiffeId, /^spiffe:\/\/example\.org\/billing_2F.*_2Fbin_2Fagent$/);
  t.strictSame(attested.groups, ['finance', 'eu']);
  t.strictSame(attested.selectors, [
    'unix:uid:1001',
    'unix:gid:1001',
    'unix:user:bill',
    'unix:group:billing',
    `unix:path:${exe}`,
    `unix:sha256:${sha256('the program')}`,
    'systemd:slice:system.slice',
    'systemd:unit:pay@eu\\x2dwest.service',
    'systemd:template:pay@.service',
    'systemd:instance:eu-west',
  ]);
});

t.test('a process known from before is attributed after its end, by what it was', async (t) => {
  const { host, facts, attestor } = setUp(t.testdir());
  const alive = await attestor.attest(facts);
  host.end(500);
  t.strictSame(await attestor.attest({ ...facts, id: '00000000000000a2' }), alive);
  t.equal(attestor.counters().cached, 1);
});

t.test('a path that leads elsewhere since is not one any more', async (t) => {
  let nowMs = 0;
  const clock = { now: later.now, monotonic: () => nowMs };
  const { exe, facts, attestor } = setUp(t.testdir(), { clock });
  t.ok((await attestor.attest(facts)).selectors.includes(`unix:path:${exe}`));
  renameSync(exe, `${exe}.old`);
  writeFileSync(exe, 'another program');
  nowMs += 5_000;
  const attested = await attestor.attest(facts);
  t.equal(attested.exeSha256, sha256('the program'), 'that of the file which runs');
  t.notOk(attested.selectors.some((selector) => selector.startsWith('unix:path')));
  t.equal(attested.spiffeId, null, 'the template asks for the path');
});

t.test('a process that was gone at once: what the kernel said, and no more', async (t) => {
  const { host, facts, attestor } = setUp(t.testdir());
  host.end(500);
  const attested = await attestor.attest(facts);
  t.equal(attested.exe, null);
  t.equal(attested.exeSha256, null);
  t.equal(attested.unit, 'pay@eu\\x2dwest.service', 'the cgroup is still there to be found');
  t.equal(attested.spiffeId, null, 'the template asks for the executable');
  t.ok(attested.selectors.includes('unix:user:bill'));
  t.notOk(attested.selectors.some((selector) => selector.startsWith('unix:path')));
  t.strictSame(attested.groups, ['finance', 'eu']);
});

t.test('a pid used again is not taken for the process that connected', async (t) => {
  const { host, facts, attestor } = setUp(t.testdir());
  const evil = host.executable('evil', 'another program');
  host.process({ pid: 500, ticks: 900n, exe: evil, cgroup: '/system.slice/evil.service' });
  const attested = await attestor.attest(facts);
  t.equal(attested.exe, null);
  t.equal(attested.exeSha256, null);
  t.equal(attested.unit, 'pay@eu\\x2dwest.service');
});

t.test('nor if it runs the same file, under another name', async (t) => {
  const { host, exe, facts, attestor } = setUp(t.testdir());
  const alias = `${exe}-alias`;
  linkSync(exe, alias);
  host.process({ pid: 500, ticks: 900n, exe: alias, cgroup: '/system.slice/evil.service' });
  t.equal((await attestor.attest(facts)).exe, null);
});

t.test('an exec makes another entry of the cache', async (t) => {
  const { host, facts, attestor } = setUp(t.testdir());
  await attestor.attest(facts);
  const second = host.executable('second', 'second program');
  const after = host.process({ pid: 500, ticks: 777n, exe: second, cgroup: '/system.slice/a.service' });
  const attested = await attestor.attest(after);
  t.equal(attested.exe, second);
  t.equal(attested.exeSha256, sha256('second program'));
  t.equal(attested.unit, 'a.service');
});

t.test('the policy in force counts, also for a process in the cache', async (t) => {
  let policy = POLICY;
  const { facts, attestor } = setUp(t.testdir(), { policy: () => policy });
  await attestor.attest(facts);
  policy = {
    ...POLICY,
    agents: [{ id: 99, name: 'renamed', groups: [] }],
    spiffeTemplate: 'spiffe://{trust_domain}/{agent}',
  };
  const attested = await attestor.attest(facts);
  t.equal(attested.spiffeId, 'spiffe://example.org/renamed');
  t.strictSame(attested.groups, []);
  t.equal((await attestor.attest({ ...facts, agentId: 5 })).spiffeId, null);
});

t.test('a flow does not wait for a digest that takes long', async (t) => {
  const { exe, facts, attestor } = setUp(t.testdir(), { hashWaitMs: 0 });
  writeFileSync(exe, Buffer.alloc(32 * 1024 * 1024));
  const early = await attestor.attest(facts);
  t.equal(early.exe, exe);
  t.equal(early.exeSha256, null);
  const patient = new Attestor({
    procRoot: join(exe, '../../proc'),
    cgroupRoot: join(exe, '../../cgroup'),
    policy: () => POLICY,
  });
  t.equal((await patient.attest(facts)).exeSha256, sha256(Buffer.alloc(32 * 1024 * 1024)));
});

t.test('many flows of many processes at once', async (t) => {
  const { host, exe, attestor } = setUp(t.testdir());
  const all = Array.from({ length: 150 }, (_, index) =>
    host.process({
      pid: 1_000 + index,
      ticks: BigInt(index),
      exe,
      cgroup: `/system.slice/u${index % 7}.service`,
    }),
  );
  const answers = await Promise.all([...all, ...all].map((facts) => attestor.attest(facts)));
  for (const [index, answer] of answers.entries()) {
    if (answer.exe !== exe || answer.unit !== `u${(index % 150) % 7}.service`) t.fail(`flow ${index}`);
    if (answer.exeSha256 !== sha256('the program')) t.fail(`digest of flow ${index}`);
  }
  t.equal(answers.length, 300);
});

function realFacts(pid: number, exe: string) {
  const file = statSync(exe, { bigint: true });
  const ticks = parseStartTicks(readFileSync(`/proc/${pid}/stat`, 'latin1')) ?? 0n;
  return someFacts({
    pid,
    taskStartNs: ticks * 10_000_000n,
    startNs: ticks * 10_000_000n + 1_000_000n,
    exeDev: kernelDevice(file.dev),
    exeInode: file.ino,
    uid: 0,
    gid: 0,
  });
}

const CGROUP_ROOT = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find((path) =>
  existsSync(join(path, 'cgroup.procs')),
);

t.test('this very process, on the real /proc', async (t) => {
  const attestor = new Attestor({
    cgroupRoot: CGROUP_ROOT ?? '/nonexistent',
    policy: () => POLICY,
    hashWaitMs: 60_000,
  });
  // As ps(1) does it, to the second.
  const [, bootS] = /^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8')) ?? [];
  const ticks = parseStartTicks(readFileSync('/proc/self/stat', 'latin1')) ?? 0n;
  const started = Number(bootS) * 1_000 + Number(ticks) * 10;
  const attested = await attestor.attest(realFacts(process.pid, '/proc/self/exe'));
  t.equal(attested.exe, process.execPath);
  t.equal(attested.exeSha256, execFileSync('sha256sum', [process.execPath]).toString().slice(0, 64));
  t.ok(attested.selectors.includes(`unix:path:${process.execPath}`));
  t.ok(attested.selectors.includes('unix:user:root'));
  t.ok(Math.abs(Date.parse(attested.startedAt ?? '') - started) < 2_000, attested.startedAt ?? 'null');
});

t.test('an executable that was replaced while it runs, on the real /proc', async (t) => {
  const dir = t.testdir();
  const path = join(dir, 'sleeper');
  execFileSync('cp', ['/bin/sleep', path]);
  const child = spawn(path, ['60'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const { pid } = child;
  t.teardown(() => child.kill('SIGKILL'));
  if (pid === undefined) throw new Error('no pid');
  const before = realFacts(pid, `/proc/${pid}/exe`);
  execFileSync('rm', [path]);
  writeFileSync(path, 'quite another file');
  const attestor = new Attestor({
    cgroupRoot: CGROUP_ROOT ?? '/nonexistent',
    policy: () => POLICY,
    hashWaitMs: 60_000,
  });
  const attested = await attestor.attest(before);
  t.equal(attested.exe, path, 'shown without the mark of the kernel');
  t.equal(
    attested.exeSha256,
    sha256(readFileSync('/bin/sleep')),
    'the file that runs, not the one at its path',
  );
  t.notOk(
    attested.selectors.some((selector) => selector.startsWith('unix:path:')),
    'no evidence',
  );
  t.equal(attested.spiffeId, null);
});

t.test('a cgroup on the real hierarchy', async (t) => {
  if (CGROUP_ROOT === undefined || process.getuid?.() !== 0) {
    t.comment('needs root and a cgroup v2 hierarchy');
    return t.pass();
  }
  const name = `sluice-test-${process.pid}.slice`;
  const dir = join(CGROUP_ROOT, name, 'x.service');
  mkdirSync(dir, { recursive: true });
  t.teardown(() => {
    if (existsSync(dir)) rmdirSync(dir);
    rmdirSync(join(CGROUP_ROOT, name));
  });
  const cgroupId = statSync(dir, { bigint: true }).ino;
  const child = spawn('/bin/sleep', ['60'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new Error('no pid');
  const ended = once(child, 'exit');
  writeFileSync(join(dir, 'cgroup.procs'), String(pid));
  const attestor = new Attestor({ cgroupRoot: CGROUP_ROOT, policy: () => POLICY });
  const facts = { ...realFacts(pid, `/proc/${pid}/exe`), cgroupId };
  t.equal((await attestor.attest(facts)).cgroup, `/${name}/x.service`);
  child.kill('SIGKILL');
  await ended;
  rmdirSync(dir);
  const gone = await attestor.attest({ ...facts, pid: pid + 1, taskStartNs: 1n });
  t.equal(gone.cgroup, `/${name}/x.service`, 'another process of it, after both are gone');
  t.equal(gone.unit, 'x.service');
});
