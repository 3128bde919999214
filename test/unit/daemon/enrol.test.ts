import t from 'tap';
import { Enroller, type EnrolTargets, kindOf, unitDirectories } from '#src/daemon/enrol.ts';
import type { KernelProcess, OpenSocket } from '#src/kernel/processes.ts';

const AGENT = 10;
const OTHER = 11;
const SELF = 99n;
const tagOf = (agentId: number) =>
  ({ agentId, why: 'cgroup', sinceNs: 0n, inherited: false, wasRunning: false }) as const;

/** A host of processes, some of which are born while it is looked at. */
class Host implements EnrolTargets {
  processes = new Map<number, KernelProcess>();
  open: OpenSocket[] = [];
  canDisconnect = true;
  /** Called before each look, with its number. */
  meanwhile: (look: number) => void = () => undefined;
  looks = 0;
  readonly unknownAgentId = 12;
  readonly selfCgroupId = SELF;
  cgroupRoot = '/nonexistent';

  add(pid: number, parent: number, agent: number | null = null, cgroupId = 1n): void {
    const tag = agent === null ? null : tagOf(agent);
    this.processes.set(pid, { pid, parent, startNs: BigInt(pid), uid: 0, cgroupId, tag });
  }

  list(): KernelProcess[] {
    this.meanwhile(this.looks++);
    return [...this.processes.values()];
  }

  tag(process: KernelProcess, agentId: number): void {
    this.processes.set(process.pid, { ...process, tag: tagOf(agentId) });
  }

  untagged: number[] = [];
  untag(pid: number): void {
    this.untagged.push(pid);
  }

  sockets(pid: number): OpenSocket[] {
    return this.open.filter((socket) => socket.pid === pid);
  }

  takeInSockets(pid: number): OpenSocket[] {
    this.open = this.open.map((s) =>
      s.pid === pid && [2, 10].includes(s.family) ? { ...s, governed: true } : s,
    );
    return this.sockets(pid);
  }

  disconnect(pid: number, fd: number, cookie: bigint): void {
    if (!this.canDisconnect) return;
    this.open = this.open.map((s) =>
      s.pid === pid && s.fd === fd && s.cookie === cookie ? { ...s, state: 'unconnected' } : s,
    );
  }

  agentId(name: string): number | null {
    return name === 'billing' ? AGENT : null;
  }

  agentName(id: number): string | null {
    return id === OTHER ? 'audit' : null;
  }
}

const socket = (cookie: bigint, change: Partial<OpenSocket> = {}): OpenSocket => ({
  pid: 100,
  cookie,
  fd: Number(cookie),
  family: 2,
  type: 1,
  protocol: 6,
  state: 'connected',
  governed: false,
  local: null,
  remote: null,
  ...change,
});
const enrol = (host: Host, now = false, target = '100') =>
  new Enroller(host).enrol({ target, agent: 'billing', now });

t.test('a process, those it has started, and those they start meanwhile', async (t) => {
  const host = new Host();
  host.add(100, 50);
  host.add(101, 100);
  host.add(102, 101, OTHER);
  host.add(103, 50);
  host.meanwhile = (look) => {
    if (look === 1) host.add(104, 101);
  };
  const done = await enrol(host);
  t.same(
    done.processes.map(({ pid, was }) => [pid, was]),
    [
      [100, false],
      [101, false],
      [104, false],
    ],
  );
  t.same(done.others, [{ pid: 102, agent: 'audit' }]);
  t.equal(host.processes.get(102)?.tag?.agentId, OTHER);
  t.equal(host.processes.get(103)?.tag, null);
  t.same(
    (await enrol(host)).processes.map(({ was }) => was),
    [true, true, true],
    'a second time',
  );
});

t.test('one that ends meanwhile leaves no tag', async (t) => {
  const host = new Host();
  host.add(100, 50);
  host.add(101, 100);
  host.meanwhile = (look) => void (look === 1 && host.processes.delete(101));
  t.same(
    (await enrol(host)).processes.map(({ pid }) => pid),
    [100],
  );
  t.same(host.untagged, [101]);
});

t.test('what cannot be it', async (t) => {
  const host = new Host();
  host.add(100, 50);
  await t.rejects(new Enroller(host).enrol({ target: '100', agent: 'none', now: false }), { code: 'CONFIG' });
  await t.rejects(enrol(host, false, '1'), { code: 'CONFIG', message: /process 1/ });
  await t.rejects(enrol(host, false, '77'), { code: 'CONFIG', message: /no process 77/ });
  await t.rejects(enrol(host, false, 'none.service'), { code: 'CONFIG', message: /no unit none\.service/ });
  host.add(101, 100, null, SELF);
  await t.rejects(enrol(host), { code: 'CONFIG', message: /Sluice itself/ });
  t.equal(host.processes.get(100)?.tag, null, 'nothing was done');
  host.add(101, 100);
  host.add(100, 50, OTHER);
  await t.rejects(enrol(host), { code: 'CONFIG', message: /is the agent audit already/ });
  host.add(100, 50, host.unknownAgentId);
  t.equal((await enrol(host)).processes.length, 2, 'who was unknown may become known');
});

t.test('sockets as they are, and as they are made to be', async (t) => {
  const host = new Host();
  host.add(100, 50);
  const all = [
    socket(1n),
    socket(2n, { state: 'listening' }),
    socket(3n, { state: 'unconnected', protocol: 17 }),
    socket(4n, { family: 1 }),
    socket(5n, { governed: true }),
    socket(1n, { fd: 9 }),
  ];
  host.open = [...all];
  const outcomes = async (now: boolean) => (await enrol(host, now)).sockets.map(({ outcome }) => outcome);
  t.same(await outcomes(false), ['left', 'left', 'left', 'ungoverned', 'governed'], 'left alone');
  host.canDisconnect = false;
  t.same(await outcomes(true), ['cut', 'governed', 'governed', 'ungoverned', 'governed']);
  host.open = [socket(1n)];
  host.canDisconnect = true;
  t.same(await outcomes(true), ['destroyed']);
});

t.test('kinds', async (t) => {
  t.equal(kindOf(socket(1n)), 'tcp');
  t.equal(kindOf(socket(1n, { protocol: 17 })), 'udp');
  t.equal(kindOf(socket(1n, { type: 3, protocol: 1 })), 'raw');
  t.equal(kindOf(socket(1n, { family: 17 })), 'packet');
  t.equal(kindOf(socket(1n, { family: 1000 })), 'family 1000');
});

t.test('a unit is found where systemd put it, and nowhere else', async (t) => {
  const root = t.testdir({
    'system.slice': {
      'billing.service': { 'billing.service': {} },
      'system-w.slice': { 'w@1.service': {} },
      'other.service': { 'w@1.service': {} },
    },
    'user.slice': { 'user-1.slice': { 'user@1.service': { 'app.slice': { 'billing.service': {} } } } },
  });
  t.same(unitDirectories(root, 'billing.service'), [`${root}/system.slice/billing.service`]);
  t.same(unitDirectories(root, 'w@1.service'), [`${root}/system.slice/system-w.slice/w@1.service`]);
  t.same(unitDirectories(root, 'system.slice'), [`${root}/system.slice`]);
  t.same(unitDirectories(root, 'none.service'), []);
});
