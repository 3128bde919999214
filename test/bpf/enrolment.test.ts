/**
 * How processes become agents in the kernel plane, and that there is no moment in which one that should be is not:
 * patterns, ranges, places of executables, and changes of policy under load.
 */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { kernelDevice } from '#src/identity/file-id.ts';
import type { CgroupRule, EnrolmentTables } from '#src/kernel/enrolment.ts';
import { type Finished, run } from '#test/support/command.ts';
import { AGENT_ID, NO_TABLES, PlaneFixture, UNKNOWN_ID } from '#test/support/plane.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const fixture = await PlaneFixture.open();
t.teardown(() => fixture.close());

const top = fixture.agentCgroup;
const dir = mkdtempSync(join(tmpdir(), 'sluice-enrolment-'));
t.teardown(() => rmSync(dir, { recursive: true }));

/** Loopback, where nobody listens: whoever is no agent is refused at once. */
const CONNECT = `
import socket, sys
s = socket.socket()
s.connect((sys.argv[1], 4321))
`;

function patterns(...rules: [path: string, agentId: number][]): EnrolmentTables {
  const cgroups: CgroupRule[] = rules.map(([path, agentId]) => ({ path: `${top}${path}`, agentId }));
  return { ...NO_TABLES, cgroups };
}

let asked = 0;
/** Has `start` connect to an address of its own, and gives the agent under which that was taken in. */
async function agentOf(start: (address: string) => Promise<unknown>): Promise<number | null> {
  asked += 1;
  const address = `127.0.9.${asked}`;
  await start(address);
  await fixture.allAccepted();
  return fixture.accepted.find(({ facts }) => facts?.dstIp === address)?.facts?.agentId ?? null;
}

/** The agent a process becomes that is born in a cgroup of this name, made for it. */
async function agentIn(name: string): Promise<number | null> {
  const directory = `${fixture.directory}/${name}`;
  mkdirSync(directory, { recursive: true });
  const agent = await agentOf((address) => fixture.agentIn(directory, CONNECT, address));
  for (let path = name; path !== '.' && path !== ''; path = join(path, '..'))
    rmdirSync(`${fixture.directory}/${path}`);
  return agent;
}

/** As a process of no agent's cgroup. */
function outside(argv: readonly string[], uid?: number): Promise<Finished> {
  const enter = 'echo 0 > "$0/cgroup.procs" && exec "$@"';
  const as = uid === undefined ? [] : ['setpriv', `--reuid=${uid}`, '--clear-groups'];
  return run(['sh', '-c', enter, fixture.cgroupRoot, ...as, ...argv]);
}

t.test('cgroups by patterns: each component for itself, and the whole of it', async (t) => {
  fixture.enrol(patterns(['/web-*.service', 1], ['/*/jobs', 2], ['/w@*.service', 3], ['/é*', 4]));
  t.equal(await agentIn('web-1.service'), 1);
  t.equal(await agentIn('web-.service'), 1, 'the star may stand for nothing');
  t.equal(await agentIn('web-1.service/inner'), 1, 'what lies below');
  t.equal(await agentIn('w@a@b.service'), 3);
  t.equal(await agentIn('x/jobs'), 2);
  t.equal(await agentIn('x/y/jobs'), null, 'a star does not reach over a slash');
  t.equal(await agentIn('x'), null, 'a pattern that has not ended');
  t.equal(await agentIn('web-1.servicex'), null);
  t.equal(await agentIn('aweb-1.service'), null);
  t.equal(await agentIn('web.service'), null);
  t.equal(await agentIn('été'), 4, 'bytes, not characters');
  t.equal(await agentIn(`web-${'x'.repeat(240)}.service`), 1, 'names as long as names can be');
});

t.test('of several: the deepest, at one depth the plain path, then the first pattern', async (t) => {
  fixture.enrol(patterns(['/a*', 1], ['/ab*', 2], ['/abc', 3], ['/abc/*', 4], ['/abc/x/y', 5]));
  t.equal(await agentIn('abd'), 1);
  t.equal(await agentIn('abc'), 3);
  t.equal(await agentIn('abc/q'), 4);
  t.equal(await agentIn('abc/x/y'), 5);
  t.equal(await agentIn('abd/x/y'), 1);
});

t.test('as many patterns as there may be', async (t) => {
  const many = Array.from({ length: 256 }, (_, n): [string, number] => [`/p${n}-*/z`, 1000 + n]);
  fixture.enrol(patterns(...many));
  for (const n of [0, 63, 64, 200, 255]) t.equal(await agentIn(`p${n}-x/z`), 1000 + n);
});

t.test('a cgroup that is made later governs what is in it from the first instruction on', async (t) => {
  fixture.enrol(patterns(['/unit-*', AGENT_ID]));
  fixture.reset();
  // Each child is born into a cgroup nobody has seen before (clone3, CLONE_INTO_CGROUP) and connects at once.
  const script = `
import ctypes, os, socket, struct, sys
base, libc = sys.argv[1], ctypes.CDLL(None, use_errno=True)
taken = 0
for n in range(200):
    path = f"{base}/unit-{n}"
    os.mkdir(path)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    args = ctypes.create_string_buffer(struct.pack("11Q", 0x200000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, fd), 88)
    pid = libc.syscall(435, args, 88)
    if pid == 0:
        s = socket.socket()
        try: s.connect(("127.0.8.1", 4321))
        except OSError: os._exit(1)
        os._exit(0)
    taken += os.waitpid(pid, 0)[1] == 0
    os.close(fd); os.rmdir(path)
print(taken)
`;
  const done = await outside(['/usr/bin/python3', '-c', script, fixture.directory]);
  t.equal(done.stdout.trim(), '200', done.stderr);
});

t.test('who has been in an enrolled cgroup stays what it was there, whatever it did', async (t) => {
  fixture.enrol(patterns(['/passing-*', AGENT_ID]));
  const passing = `${fixture.directory}/passing-through`;
  mkdirSync(passing);
  t.teardown(() => rmdirSync(passing));
  // Moved in and out again, by itself or by another, it executes, forks and opens nothing there.
  const script = `
import os, socket, sys
address, passing, root, who = sys.argv[1:]
def move(pid):
    for path in (passing, root): open(path + "/cgroup.procs", "w").write(str(pid))
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    if who == "itself": move(0)
    else: os.read(r, 1)
    s = socket.socket(); s.connect((address, 4321)); os._exit(0)
if who == "another": move(pid); os.write(w, b"x")
sys.exit(os.waitpid(pid, 0)[1])
`;
  for (const who of ['itself', 'another']) {
    const through = (address: string): Promise<Finished> =>
      outside(['/usr/bin/python3', '-c', script, address, passing, fixture.cgroupRoot, who]);
    t.equal(await agentOf(through), AGENT_ID, who);
  }
});

/** The least of each, while the other goes on. */
const CHANGES = 200;
const CONNECTIONS = 600;

t.test('a change of policy has no moment in which an agent is none', async (t) => {
  mkdirSync(`${fixture.directory}/steady`);
  const both = (uid: number): EnrolmentTables => ({
    ...patterns(['/ste*', AGENT_ID], [`/other-${uid}`, 5]),
    uids: uid % 2 === 0 ? [] : [{ first: uid, last: uid, agentId: 6 }],
  });
  fixture.enrol(both(0));
  // New processes all the time, for a tag would answer for those that have one.
  const script = `
import os, socket
while not os.path.exists(os.environ["OVER"]):
    pid = os.fork()
    if pid == 0:
        open(os.environ["INTO"] + "/cgroup.procs", "w").write("0")
        s = socket.socket()
        try: s.connect(("127.0.8.2", 4321))
        except OSError as e: os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]: print("escaped")
print("done")
`;
  const over = join(dir, 'over');
  const env = [`INTO=${fixture.directory}/steady`, `OVER=${over}`];
  const connecting = outside(['env', ...env, '/usr/bin/python3', '-c', script]);
  let ended = false;
  void connecting.finally(() => {
    ended = true;
  });
  fixture.reset();
  let changes = 0;
  const { accepted } = fixture;
  for (; !ended && (changes < CHANGES || accepted.length < CONNECTIONS); changes += 1) {
    fixture.enrol(both(50_000 + (changes % 20_000)));
    if (changes % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  writeFileSync(over, '');
  t.equal((await connecting).stdout.trim(), 'done', `${changes} changes`);
  t.ok(changes >= CHANGES, `${changes} changes`);
  t.ok(accepted.length >= CONNECTIONS, `${accepted.length} connections`);
  rmdirSync(`${fixture.directory}/steady`);
});

t.test('user ids by range, of which the narrowest decides', async (t) => {
  fixture.enrol({
    ...NO_TABLES,
    uids: [
      { first: 50_000, last: 59_999, agentId: 1 },
      { first: 55_000, last: 55_009, agentId: 2 },
      { first: 55_005, last: 55_005, agentId: 3 },
    ],
  });
  const expected: [number, number | null][] = [
    [49_999, null],
    [50_000, 1],
    [54_999, 1],
    [55_000, 2],
    [55_005, 3],
    [55_009, 2],
    [55_010, 1],
    [59_999, 1],
    [60_000, null],
  ];
  for (const [uid, agent] of expected) {
    const found = await agentOf((address) => outside(['/usr/bin/python3', '-c', CONNECT, address], uid));
    t.equal(found, agent, String(uid));
  }
});

t.test('who came to an enrolled user without executing anything stays what it was there', async (t) => {
  fixture.enrol({ ...NO_TABLES, uids: [{ first: 50_000, last: 50_000, agentId: 1 }] });
  const script = `
import os, socket, sys
os.setresuid(50000, 50000, 0)
socket.socket()
os.setresuid(0, 0, 0)
s = socket.socket(); s.connect((sys.argv[1], 4321))
`;
  t.equal(await agentOf((address) => outside(['/usr/bin/python3', '-c', script, address])), 1);
});

t.test(
  'a file that is put in the place of an enrolled executable is governed before anybody knows it',
  async (t) => {
    const exe = join(dir, 'program');
    copyFileSync('/usr/bin/python3', exe);
    const found = statSync(exe, { bigint: true });
    const directory = statSync(dir, { bigint: true });
    const places = [{ directoryInode: directory.ino, dev: kernelDevice(directory.dev), name: 'program' }];
    const known = (inode: bigint): EnrolmentTables => ({
      ...NO_TABLES,
      exes: [{ inode, dev: kernelDevice(found.dev), agentId: 1 }],
      places,
    });
    fixture.enrol(known(found.ino));
    t.equal(await agentOf((address) => outside([exe, '-c', CONNECT, address])), 1);

    copyFileSync('/usr/bin/python3', join(dir, 'fresh'));
    renameSync(join(dir, 'fresh'), exe);
    t.equal(
      await agentOf((address) => outside([exe, '-c', CONNECT, address])),
      UNKNOWN_ID,
      'nobody has told the kernel of it',
    );

    fixture.enrol(known(statSync(exe, { bigint: true }).ino));
    t.equal(await agentOf((address) => outside([exe, '-c', CONNECT, address])), 1);

    copyFileSync('/usr/bin/python3', join(dir, 'other'));
    const other = await agentOf((address) => outside([join(dir, 'other'), '-c', CONNECT, address]));
    t.equal(other, null, 'another name in the same place is another program');
  },
);
