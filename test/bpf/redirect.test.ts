/** What the connect, sockops, getpeername and getsockopt programs do with an agent's connection. */
import { mkdirSync, statSync } from 'node:fs';
import t from 'tap';
import { kernelDevice } from '#src/identity/file-id.ts';
import { run } from '#test/support/command.ts';
import { AGENT_ID, NO_TABLES, PlaneFixture } from '#test/support/plane.ts';

const fixture = await PlaneFixture.open();
t.teardown(() => fixture.close());
t.beforeEach(() => fixture.reset());

const CONNECT = `
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family)
s.connect((sys.argv[1], 4321))
print(s.getpeername()[0], s.getpeername()[1], s.recv(100).decode(), flush=True)
`;

for (const [name, asked, stored] of [
  ['IPv4', '192.0.2.7', '192.0.2.7'],
  ['IPv6', '2001:db8::7', '2001:db8::7'],
  ['a v4-mapped address', '::ffff:192.0.2.8', '192.0.2.8'],
] as const) {
  t.test(`a connection to ${name} is taken in with its destination and its process`, async (t) => {
    const result = await fixture.agent(CONNECT, asked);
    t.equal(result.stdout, `${asked} 4321 hello from the proxy\n`, 'the agent sees the peer it asked for');
    const facts = fixture.accepted[0]?.facts;
    const exe = statSync('/usr/bin/python3', { bigint: true });
    t.match(facts, {
      dstIp: stored,
      dstPort: 4321,
      agentId: AGENT_ID,
      uid: 0,
      exeInode: exe.ino,
      exeDev: kernelDevice(exe.dev),
      family: asked.includes(':') ? 6 : 4,
    });
    const [open] = await fixture.waitFor('open');
    const [closed] = await fixture.waitFor('closed');
    t.same(open?.facts, facts, 'the event says the same as the socket');
    t.same(closed?.facts, facts);
    t.equal(
      fixture.plane.exePath(kernelDevice(exe.dev), exe.ino)?.startsWith('/usr/bin/python3'),
      true,
      'the executable is remembered by path',
    );
  });
}

t.test('TCP Fast Open, by sendto and by option, is taken in as well', async (t) => {
  const result = await fixture.agent(`
import socket
MSG_FASTOPEN, TCP_FASTOPEN_CONNECT = 0x20000000, 30
for n in range(3):
    s = socket.socket()
    s.sendto(b"early", MSG_FASTOPEN, ("192.0.2.9", 80))
    print(s.recv(100).decode())
    s = socket.socket()
    s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    s.connect(("192.0.2.9", 81))
    s.send(b"early")
    print(s.recv(100).decode())
`);
  t.equal(result.stdout, 'hello from the proxy\n'.repeat(6), result.stderr);
  t.same(
    fixture.accepted.map(({ facts }) => `${facts?.dstIp}:${facts?.dstPort}`),
    ['192.0.2.9:80', '192.0.2.9:81', '192.0.2.9:80', '192.0.2.9:81', '192.0.2.9:80', '192.0.2.9:81'],
  );
});

t.test('a process that is gone at once is still named, and every flow has an id of its own', async (t) => {
  const result = await fixture.agent(`
import os, socket
for n in range(200):
    if os.fork() == 0:
        s = socket.socket()
        s.connect(("192.0.2.10", 1000 + n))
        os.write(1, b"%d %d\\n" % (os.getpid(), 1000 + n))
        os._exit(0)
    os.wait()
`);
  const said = new Map(
    result.stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' ').map(Number) as [number, number]),
  );
  await fixture.waitFor('closed', 200);
  t.equal(fixture.accepted.length, 200);
  t.equal(new Set(fixture.accepted.map(({ facts }) => facts?.id)).size, 200);
  const last = fixture.accepted
    .map(({ facts }) => BigInt(`0x${facts?.id}`))
    .reduce((a, b) => (b > a ? b : a));
  t.equal(fixture.plane.nextFlowId(), last + 1n, 'no id is of a flow before it is given out');
  const wrong = fixture.accepted.filter(({ facts }) => said.get(facts?.pid ?? 0) !== facts?.dstPort);
  t.same(wrong, [], 'none is attributed to another process');
});

t.test('SO_ORIGINAL_DST answers on the accepted socket only', async (t) => {
  const result = await fixture.agent(`
import socket
s = socket.socket(); s.connect(("192.0.2.11", 80))
try:
    s.getsockopt(socket.SOL_IP, 80, 16); print("answered")
except OSError as error:
    print(type(error).__name__)
try:
    s.getsockopt(0x534c, 1, 96); print("answered")
except OSError as error:
    print(type(error).__name__)
`);
  t.notMatch(result.stdout, /answered/);
});

t.test('others on the host are left alone', async (t) => {
  const result = await run([
    'python3',
    '-c',
    `
import socket
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
s = socket.socket(); s.connect(server.getsockname())
print(s.getpeername() == server.getsockname())
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b"x", server.getsockname())
socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\\x01\\x01\\x01\\x00")
# Longer than the page the programs may see: passed on whole.
try:
    s.setsockopt(socket.IPPROTO_IP, 49, b"x" * 9000)
except OSError as error:
    print(error.errno)
`,
  ]);
  t.match(result.stdout, /^True\n\d+\n$/, result.stderr);
  t.notMatch(result.stdout, /\n14\n/, 'EFAULT would mean the programs cut a long option');
  t.same(fixture.accepted, []);
  // `closed` of the flows before may still come in.
  t.same(
    fixture.events.filter(({ kind }) => kind !== 'closed'),
    [],
  );
});

t.test(
  'uid, executable and a deeper cgroup enrol by their precedence, and a new set replaces the old whole',
  async (t) => {
    const python = statSync('/usr/bin/python3', { bigint: true });
    const exe = { inode: python.ino, dev: kernelDevice(python.dev), agentId: 2 };
    const outside = async (): Promise<number | undefined> => {
      fixture.reset();
      const enter = `echo 0 > "${fixture.cgroupRoot}/cgroup.procs" && exec setpriv --reuid=4242 --clear-groups "$@"`;
      // Loopback, where nobody listens: whoever is no agent is refused at once.
      await run(['sh', '-c', enter, 'sh', '/usr/bin/python3', '-c', CONNECT, '127.0.0.98']);
      await fixture.allAccepted();
      return fixture.accepted[0]?.facts?.agentId;
    };
    fixture.enrol({ ...NO_TABLES, uids: [{ first: 4242, last: 4242, agentId: 1 }] });
    t.equal(await outside(), 1, 'by uid');
    fixture.enrol({ ...NO_TABLES, uids: [{ first: 4242, last: 4242, agentId: 1 }], exes: [exe] });
    t.equal(await outside(), 2, 'the executable outranks the uid');
    fixture.enrol({ ...NO_TABLES, uids: [{ first: 4243, last: 4243, agentId: 1 }] });
    t.equal(await outside(), undefined, 'the old set is gone');

    const both = [
      { path: fixture.agentCgroup, agentId: 9 },
      { path: `${fixture.agentCgroup}/deeper`, agentId: AGENT_ID },
    ];
    fixture.enrol({ ...NO_TABLES, cgroups: [{ path: `${fixture.agentCgroup}x`, agentId: 3 }] });
    fixture.reset();
    t.match(
      (await fixture.agent(CONNECT, '127.0.0.99')).stderr,
      /ConnectionRefused/,
      'a longer name is another cgroup',
    );
    fixture.enrol({ ...NO_TABLES, cgroups: both, exes: [exe] });
    fixture.reset();
    mkdirSync(`${fixture.directory}/deeper`);
    await fixture.agentIn(`${fixture.directory}/deeper`, CONNECT, '192.0.2.13');
    t.equal(fixture.accepted[0]?.facts?.agentId, AGENT_ID, 'the deepest cgroup decides');
  },
);

t.test(
  'who was enrolled stays enrolled: out of the cgroup, by another program, another uid, in children',
  async (t) => {
    fixture.enrol({ ...NO_TABLES, cgroups: [{ path: fixture.agentCgroup, agentId: AGENT_ID }] });
    fixture.reset();
    const root = fixture.cgroupRoot;
    const result = await fixture.agent(
      `
import os, sys
root, connect = sys.argv[1:]
open(root + "/cgroup.procs", "w").write("0")
if os.fork() == 0:
    os.setsid()
    os.setgroups([]); os.setgid(4242); os.setuid(4242)
    os.execv("/usr/bin/python3", ["python3", "-c", connect, "192.0.2.14"])
os.wait()
`,
      root,
      CONNECT,
    );
    t.match(result.stdout, /^192\.0\.2\.14 4321/, result.stderr);
    t.match(fixture.accepted[0]?.facts, { agentId: AGENT_ID, uid: 4242 });

    fixture.reset();
    const outlives = await fixture.agent(
      `
import os, sys, threading, time
root, connect = sys.argv[1:]
open(root + "/cgroup.procs", "w").write("0")
# The first thread goes, the process stays, and so does what it is.
def later():
    time.sleep(0.3)
    exec(connect, {})
threading.Thread(target=later).start()
sys.argv = ["", "192.0.2.15"]
import ctypes; ctypes.CDLL(None).syscall(60, 0)
`,
      root,
      CONNECT,
    );
    t.match(outlives.stdout, /^192\.0\.2\.15 4321/, outlives.stderr);
    t.equal(fixture.accepted[0]?.facts?.agentId, AGENT_ID);
  },
);
