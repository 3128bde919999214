/**
 * Tables of the kernel plane that are full: what there is no room for is refused and counted, and what is in them
 * stays.
 */

import t from 'tap';
import { addon } from '#src/kernel/addon.ts';
import type { EnrolmentTables } from '#src/kernel/enrolment.ts';
import { mapSizes, pinnedSizes } from '#src/kernel/tables.ts';
import { Running, until } from '#test/support/command.ts';
import {
  AGENT_ID,
  NO_TABLES,
  PIN_DIRECTORY,
  PlaneFixture,
  pythonIn,
  UNKNOWN_ID,
} from '#test/support/plane.ts';

const SIZES = {
  processes: 6,
  'pending-flows': 2,
  'cgroup-paths': 8,
  'user-ids': 3,
  executables: 3,
  inbound: 3,
  refusals: 1,
} as const;
// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const fixture = await PlaneFixture.open(1, SIZES);
t.teardown(() => fixture.close());
t.beforeEach(() => fixture.reset());

const cgroups = [{ path: fixture.agentCgroup, agentId: AGENT_ID }];

function keysOf(map: string): number {
  const opened = new (addon().BpfMap)(`${PIN_DIRECTORY}/maps/${map}`);
  const { length } = opened.keys();
  opened.close();
  return length;
}

t.test('tables have the size that was asked for, and keep it while they are pinned', async (t) => {
  t.match(pinnedSizes(PIN_DIRECTORY), { ...SIZES, 'udp-peers': 65_536 });
  t.same(mapSizes(PIN_DIRECTORY, { processes: SIZES.processes }), { sluice_tags: SIZES.processes });
  t.throws(() => mapSizes(PIN_DIRECTORY, { processes: 7 }), { code: 'CONFIG', message: /room for 6, not 7/ });
});

t.test(
  'processes: who has no tag is governed as unknown, whatever it does to be somebody else',
  async (t) => {
    // Each child waits until all are there. Then it tries; then it leaves the agent's cgroup, and its own child does.
    const script = `
import errno, os, socket, sys
here, elsewhere, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
def attempt(say):
    try:
        socket.create_connection(("192.0.2.7", 443), 60).close(); return say + "connected"
    except OSError as error: return say + errno.errorcode.get(error.errno, str(error))
def leave():
    with open(elsewhere + "/cgroup.procs", "w") as f: f.write("0")
go_read, go_write = os.pipe()
out_read, out_write = os.pipe()
for n in range(number):
    if os.fork() == 0:
        os.close(go_write)
        os.read(go_read, 1)
        lines = [attempt("inside ")]
        leave()
        lines.append(attempt("outside "))
        child = os.fork()
        if child == 0:
            os.write(out_write, (attempt("child ") + "\\n").encode()); os._exit(0)
        os.waitpid(child, 0)
        os.write(out_write, ("\\n".join(lines) + "\\n").encode()); os._exit(0)
os.close(go_write); os.close(out_write)
with os.fdopen(out_read) as f: sys.stdout.write(f.read())
while True:
    try: os.wait()
    except ChildProcessError: break
print(attempt("parent "))`;
    const outside = `${fixture.cgroupRoot}${fixture.agentCgroup}`.replace(/agent$/, 'self');
    const children = 20;
    const before = fixture.plane.counters().untagged;
    const done = await fixture.agent(script, fixture.directory, outside, String(children));
    const lines = done.stdout.trim().split('\n');
    t.same([...new Set(lines.map((line) => line.split(' ')[1]))], ['connected'], done.stderr);
    t.equal(fixture.accepted.length, 3 * children + 1, 'each was taken in');
    const agentsOf = new Map<number, Set<number | undefined>>();
    for (const { facts } of fixture.accepted) {
      const agents = agentsOf.get(facts?.pid ?? 0) ?? new Set();
      agentsOf.set(facts?.pid ?? 0, agents.add(facts?.agentId));
    }
    const known = [...agentsOf.values()].map((agents) => [...agents]);
    t.ok(
      known.every((agents) => agents.length === 1),
      'and each process is the same in its cgroup and outside',
    );
    const tagged = known.filter(([agent]) => agent === AGENT_ID).length;
    t.ok(tagged > 1 && tagged < SIZES.processes + children, `${tagged} had a tag`);
    t.equal(
      known.filter(([agent]) => agent === UNKNOWN_ID).length,
      known.length - tagged,
      'the others have no policy',
    );
    const untagged = Number(fixture.plane.counters().untagged - before);
    t.ok(untagged >= children - SIZES.processes, `${untagged} are counted`);

    // What a process was goes with it: the next of that pid is found anew.
    t.equal(keysOf('sluice_tags'), 0);
    const words = new (addon().BpfMap)(`${PIN_DIRECTORY}/maps/sluice_untagged`);
    const marked = words.keys().filter((key) => words.lookup(key)?.readBigUInt64LE() !== 0n);
    words.close();
    t.same(marked, [], 'no mark is left');
  },
);

t.test('pending flows: a connection without room fails, those that wait are kept', async (t) => {
  const { fd, port } = fixture.plane.listen('127.0.0.1', 0, 0);
  fixture.plane.setProxyPorts([port]);
  t.teardown(() => fixture.plane.setProxyPorts(fixture.ports));
  t.teardown(() => addon().closeFd(fd));
  // The first fills the listener's queue: nobody takes the others from there.
  const script = `
import socket, sys
first = socket.create_connection(("192.0.2.1", 80), 60)
print("first", flush=True); sys.stdin.readline()
kept = []
for n in range(${SIZES['pending-flows']} + 3):
    s = socket.socket(); s.setblocking(False); s.connect_ex(("192.0.2.2", 1000 + n)); kept.append(s)
print("there", flush=True)`;
  const before = fixture.plane.counters().unpublished;
  const agent = new Running(pythonIn(fixture.directory, script), { keepStdin: true });
  t.teardown(() => agent.stop('SIGKILL'));
  await agent.waitFor(({ stdout }) => stdout.includes('first\n'));
  await until('the first to wait for nobody but the proxy', () => keysOf('sluice_tuples') === 0);
  agent.endInput();
  const done = await agent.finished;
  t.equal(done.stdout, 'first\nthere\n', done.stderr);
  t.equal(Number(fixture.plane.counters().unpublished - before), 3);
  const undelivered = await fixture.waitFor('undelivered', 5);
  const ports = undelivered.map(({ facts }) => facts.dstPort);
  t.same(
    ports.sort(),
    [1000, 1001, 1002, 1003, 1004],
    'each has its end, those that waited when the agent left',
  );
});

const numbers = Array.from({ length: 20 }, (_, n) => n);
/** Where the size is what it is. */
const many = Array.from({ length: 8192 + 1 }, (_, n) => n);
const RANGE = {
  rule: 1,
  protocol: 6,
  ports: [80, 80],
  addresses: ['0'.repeat(32), 'f'.repeat(32)],
} as const;

/** What is too much, by the table that has no room for it. */
const TOO_MUCH: Readonly<Record<string, Partial<EnrolmentTables>>> = {
  sluice_paths: {
    cgroups: [...cgroups, ...numbers.map((n) => ({ path: `/sluice-none/${n}`, agentId: 100 + n }))],
  },
  sluice_uids: {
    uids: numbers.map((n) => ({ first: 7_000_000 + 2 * n, last: 7_000_000 + 2 * n, agentId: 100 })),
  },
  sluice_exes: { exes: numbers.map((n) => ({ inode: BigInt(2 ** 40 + n), dev: 1, agentId: 100 })) },
  sluice_exe_places: {
    places: numbers.map((n) => ({ directoryInode: BigInt(2 ** 40 + n), dev: 1, name: 'none' })),
  },
  sluice_unix_files: {
    closedSockets: { files: many.map((n) => ({ inode: BigInt(2 ** 40 + n), dev: 1, id: 1 })), places: [] },
  },
  sluice_unix_places: {
    closedSockets: {
      files: [],
      places: many.map((n) => ({ directoryInode: BigInt(2 ** 40 + n), dev: 1, name: 'none', id: 1 })),
    },
  },
  sluice_inbound: { inbound: numbers.map((n) => ({ agentId: 100 + n, ranges: [RANGE] })) },
};

for (const [table, more] of Object.entries(TOO_MUCH))
  t.test(`enrolment: a policy that does not fit ${table} is refused, the one in force stays`, async (t) => {
    t.throws(() => fixture.enrol({ ...NO_TABLES, cgroups, ...more }), {
      code: 'POLICY',
      message: new RegExp(`${table}\\b`),
      // The room for Unix sockets is nobody's to choose.
      hint: table.startsWith('sluice_unix') ? /unix_sockets/ : /--table/,
    });
    const connect = 'import socket; socket.create_connection(("192.0.2.7", 443), 60)';
    t.equal((await fixture.agent(connect)).code, 0);
    await fixture.waitFor('open');
    t.match(fixture.accepted[0]?.facts, { agentId: AGENT_ID });
    fixture.enrol({ ...NO_TABLES, cgroups });
  });

t.test('refusals: those of a sort there is no room for are counted apart', async (t) => {
  const before = fixture.plane.counters().unsorted;
  const script = `
import socket
for n in range(5):
    try: socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)
    except OSError: pass
    try: socket.socket().setsockopt(socket.SOL_SOCKET, 25, b"lo")
    except OSError: pass`;
  await fixture.agent(script);
  const sorted = fixture.plane.denials();
  t.equal(sorted.length, SIZES.refusals, 'the first sort is kept');
  t.ok(fixture.plane.counters().unsorted - before >= 5n);
});
