/**
 * What the kernel plane remembers of who is no agent: it must not outlive anything that could make an agent of them.
 * One process, which lives through all of it and does what it is told, is asked again and again, on one processor, so
 * that it is the same memory that answers.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { kernelDevice } from '#src/identity/file-id.ts';
import { findCgroup2 } from '#src/kernel/cgroup.ts';
import type { EnrolmentTables } from '#src/kernel/enrolment.ts';
import { Processes } from '#src/kernel/processes.ts';
import { must, Running, until } from '#test/support/command.ts';
import { patience } from '#test/support/patience.ts';
import { NO_TABLES, PIN_DIRECTORY, PlaneFixture } from '#test/support/plane.ts';

t.setTimeout(120_000 * patience);

const UID = 50_000;
const byUid = (agentId: number): EnrolmentTables => ({
  ...NO_TABLES,
  uids: [{ first: UID, last: UID, agentId }],
});

function exeAt(path: string, agentId: number): EnrolmentTables['exes'][number] {
  const { ino, dev } = statSync(path, { bigint: true });
  return { inode: ino, dev: kernelDevice(dev), agentId };
}

/** Takes one order a line, and answers each with one. Addresses are loopback's, where nobody listens. */
const OBEY = `
import os, socket, sys
def connect(address):
    s = socket.socket()
    try: s.connect((address, 4321))
    except ConnectionRefusedError: return "none"
    return "agent"
def uid(n): os.setresuid(int(n), int(n), 0); return "done"
def back(_): os.setresuid(0, 0, 0); return "done"
def cgroup(path): open(path + "/cgroup.procs", "w").write("0"); return "done"
def execute(path): os.execv(path, [path, "-u", "-c", os.environ["OBEY"]])
def crowd(what):
    kind, agent = what.split(" ")
    wrong = []
    for n in range(300):
        pid = os.fork()
        if pid == 0:
            if kind == "uids": os.setresuid(60000 + n, 60000 + n, 0)
            if kind == "cgroups": cgroup(os.environ["CROWD"] + "/" + str(n))
            if kind == "executables": os.execv(os.environ["COPIES"] + "/" + str(n), ["ask"])
            os._exit(connect("127.0.7.1") == "agent")
        if (os.waitpid(pid, 0)[1] != 0) != (n == int(agent)): wrong.append(n)
    return "wrong" + str(wrong)
print("ready", os.getpid())
for line in sys.stdin:
    order, _, what = line.strip().partition(" ")
    print(globals()[order](what))
`;

/** More than each processor has room for (SLUICE_NONES). */
const CROWD = 300;
let asked = 0;

class Subject {
  readonly #running: Running;

  private constructor(running: Running) {
    this.#running = running;
  }

  static async start(cgroupRoot: string, env: Readonly<Record<string, string>> = {}): Promise<Subject> {
    const enter = 'echo 0 > "$0/cgroup.procs" && exec "$@"';
    const argv = ['taskset', '-c', '0', '/usr/bin/python3', '-u', '-c', OBEY];
    const running = new Running(['sh', '-c', enter, cgroupRoot, ...argv], {
      keepStdin: true,
      env: { OBEY, ...env },
    });
    await running.waitFor(({ stdout }) => /^ready \d+\n/.test(stdout));
    return new Subject(running);
  }

  get pid(): number {
    return Number(/^ready (\d+)/.exec(this.#running.stdout)?.[1]);
  }

  async told(order: string): Promise<string> {
    const before = this.#running.stdout.length;
    this.#running.write(`${order}\n`);
    await this.#running.waitFor(({ stdout }) => stdout.slice(before).endsWith('\n'));
    return this.#running.stdout.slice(before).trim();
  }

  /** Under which agent its connection was taken in; null: it was not. */
  async agent(fixture: PlaneFixture): Promise<number | null> {
    asked += 1;
    const address = `127.0.6.${asked}`;
    const answer = await this.told(`connect ${address}`);
    if (answer !== 'agent') return null;
    const seen = (): number | undefined =>
      fixture.accepted.find(({ facts }) => facts?.dstIp === address)?.facts?.agentId;
    return until('the connection of an agent', seen);
  }

  /** Makes sure that it is known to be none: the first to ask searches, whoever comes then is told. */
  async isNone(t: Test, fixture: PlaneFixture, why: string): Promise<void> {
    for (let time = 0; time < 3; time += 1) t.equal(await this.agent(fixture), null, why);
  }

  async stop(): Promise<void> {
    await this.#running.stop('SIGKILL');
  }
}

let fixture = await PlaneFixture.open();
t.teardown(() => fixture.close());

async function withSubject(work: (subject: Subject) => Promise<void>): Promise<void> {
  const subject = await Subject.start(fixture.cgroupRoot);
  try {
    await work(subject);
  } finally {
    await subject.stop();
  }
}

t.test('a change of policy counts from the next connection on, both ways', (t) =>
  withSubject(async (subject) => {
    await subject.told(`uid ${UID}`);
    for (let agentId = 10; agentId < 20; agentId += 1) {
      fixture.enrol(NO_TABLES);
      await subject.isNone(t, fixture, 'no policy names it');
      fixture.enrol(byUid(agentId));
      t.equal(await subject.agent(fixture), agentId, 'this one does');
    }
  }),
);

t.test('another user is another question', (t) =>
  withSubject(async (subject) => {
    fixture.enrol(byUid(1));
    await subject.isNone(t, fixture, 'root is not named');
    await subject.told(`uid ${UID + 1}`);
    await subject.isNone(t, fixture, 'nor is its neighbour');
    await subject.told('back');
    await subject.told(`uid ${UID}`);
    t.equal(await subject.agent(fixture), 1);
    await subject.told('back');
    t.equal(await subject.agent(fixture), 1, 'and what it has become it stays');
  }),
);

t.test('so is another executable', (t) =>
  withSubject(async (subject) => {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-nones-'));
    t.teardown(() => rmSync(directory, { recursive: true }));
    const [other, enrolled] = [join(directory, 'other'), join(directory, 'enrolled')];
    for (const file of [other, enrolled]) copyFileSync('/usr/bin/python3', file);
    fixture.enrol({ ...NO_TABLES, exes: [exeAt(enrolled, 2)] });
    await subject.isNone(t, fixture, 'the interpreter is not named');
    await subject.told(`execute ${other}`);
    await subject.isNone(t, fixture, 'nor is one that looks alike');
    await subject.told(`execute ${enrolled}`);
    t.equal(await subject.agent(fixture), 2);
  }),
);

t.test('and another cgroup', (t) =>
  withSubject(async (subject) => {
    const inner = `${fixture.directory}/inner`;
    const aside = `${fixture.directory}/aside`;
    for (const directory of [inner, aside]) mkdirSync(directory);
    fixture.enrol({ ...NO_TABLES, cgroups: [{ path: `${fixture.agentCgroup}/inner`, agentId: 3 }] });
    await subject.isNone(t, fixture, 'the root is not named');
    await subject.told(`cgroup ${aside}`);
    await subject.isNone(t, fixture, 'nor is this one');
    await subject.told(`cgroup ${inner}`);
    t.equal(await subject.agent(fixture), 3);
    await subject.stop();
    for (const directory of [inner, aside]) rmdirSync(directory);
  }),
);

t.test('who is made an agent by hand is one at once', (t) =>
  withSubject(async (subject) => {
    fixture.enrol({ ...NO_TABLES, uids: [{ first: 70_000, last: 70_000, agentId: 4 }] });
    await subject.isNone(t, fixture, 'policy does not name it');
    const processes = new Processes(PIN_DIRECTORY);
    t.teardown(() => processes.close());
    const self = processes.list().find(({ pid }) => pid === subject.pid);
    if (self === undefined) throw new Error('the process is not listed');
    processes.tag(self, 4, 1n);
    t.equal(await subject.agent(fixture), 4);
    processes.untag(subject.pid);
    t.equal(await subject.agent(fixture), null, 'and none when that is taken back');
    processes.tag({ ...self, startNs: self.startNs - 1n }, 4, 1n);
    t.equal(await subject.agent(fixture), null, 'nor by the tag of one that had its pid before');
    processes.untag(subject.pid);
  }),
);

/** Executables that ask once, each a file of its own. */
async function copiesOf(directory: string): Promise<void> {
  const first = join(directory, '0');
  await must(['cc', '-O1', '-o', first, join(import.meta.dirname, '../support/programs/ask.c')]);
  for (let n = 1; n < CROWD; n += 1) copyFileSync(first, join(directory, String(n)));
}

t.test('more of them than there is room to remember: each is still told apart', async (t) => {
  const members = Array.from({ length: CROWD }, (_, n) => String(n));
  const copies = mkdtempSync(join(tmpdir(), 'sluice-copies-'));
  t.teardown(() => rmSync(copies, { recursive: true }));
  // A guest has no compiler; what it has of programs is too large to have hundreds.
  const compiles = existsSync('/usr/bin/cc');
  if (compiles) await copiesOf(copies);
  const crowd = `${fixture.directory}/crowd`;
  for (const name of members) mkdirSync(join(crowd, name), { recursive: true });
  const subject = await Subject.start(fixture.cgroupRoot, { CROWD: crowd, COPIES: copies });
  const policies: Readonly<Record<string, Partial<EnrolmentTables>>> = {
    uids: { uids: [{ first: 60_200, last: 60_200, agentId: 5 }] },
    cgroups: { cgroups: [{ path: `${fixture.agentCgroup}/crowd/200`, agentId: 5 }] },
    ...(compiles ? { executables: { exes: [exeAt(join(copies, '200'), 5)] } } : {}),
  };
  for (const [kind, policy] of Object.entries(policies)) {
    fixture.enrol({ ...NO_TABLES, ...policy });
    for (let time = 0; time < 2; time += 1) t.equal(await subject.told(`crowd ${kind} 200`), 'wrong[]', kind);
  }
  await subject.stop();
  for (const name of [...members, '']) rmdirSync(join(crowd, name));
});

t.test('what was remembered goes with the programs', async (t) => {
  const subject = await Subject.start(findCgroup2());
  await subject.told(`uid ${UID}`);
  fixture.enrol(NO_TABLES);
  await subject.isNone(t, fixture, 'no policy names it');
  await fixture.close();
  fixture = await PlaneFixture.open();
  t.teardown(() => subject.stop());
  // Numbers of generations begin anew, and so come to the one that had nothing for it.
  for (let agentId = 100; agentId < 110; agentId += 1) {
    fixture.enrol(byUid(agentId));
    t.equal(await subject.agent(fixture), agentId);
  }
});
