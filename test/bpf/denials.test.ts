/** Refusals are counted to the last, told at a bounded rate, and what a full ring loses is counted as well. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import type { KernelEvent } from '#src/kernel/events.ts';
import type { Technique } from '#src/kernel/techniques.ts';
import { AGENT_ID, PlaneFixture } from '#test/support/plane.ts';

const fixture = await PlaneFixture.open();
t.teardown(() => fixture.close());
t.beforeEach(() => fixture.reset());

/** SLUICE_TELL_PROCESS, SLUICE_TELL_AGENT and SLUICE_TELL_WINDOW_NS of bpf/api/sluice.h. */
const TELL_PROCESS = 32;
const TELL_AGENT = 256;
const WINDOW_NS = 10_000_000_000n;

function counted(technique: Technique): bigint {
  const found = fixture.plane.denials().find((entry) => entry.technique === technique);
  return found?.agentId === AGENT_ID ? found.count : 0n;
}

function told(technique: Technique): KernelEvent[] {
  return fixture.events.filter((event) => event.refusal?.technique === technique);
}

function accountedFor(events: readonly KernelEvent[]): number {
  return events.reduce((sum, event) => sum + 1 + (event.refusal?.suppressed ?? 0), 0);
}

/** The most windows that may have begun while these were told: one, and two where the first was there before. */
function windowsOf(events: readonly KernelEvent[]): number {
  const times = events.map(({ timeNs }) => timeNs).sort((a, b) => Number(a - b));
  return 2 + Number(((times.at(-1) ?? 0n) - (times[0] ?? 0n)) / WINDOW_NS);
}

const sendto = (times: number): string => `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for n in range(${times}):
    try: s.sendto(b"x", ("127.0.0.1", 9))
    except PermissionError: pass
`;

t.test(
  '100,000 refusals on all processors at once are counted to the last and told a few times',
  async (t) => {
    await Promise.all(Array.from({ length: 4 }, () => fixture.agent(sendto(25_000))));
    await fixture.waitFor('denied', 4 * TELL_PROCESS);
    t.equal(counted('sendto'), 100_000n);
    t.equal(fixture.plane.counters().refused['udp_denied'], 100_000n, 'and by reason');
    t.ok(told('sendto').length >= 4 * TELL_PROCESS, `${told('sendto').length} told`);
    const windows = windowsOf(told('sendto'));
    t.ok(told('sendto').length <= windows * TELL_AGENT, `at most ${windows} windows of the agent`);
    t.equal(fixture.plane.counters().denyEventsLost, 0n);
    // One more at a time, each of a new process, until one is told: what was not told is in it.
    for (let tries = 0; tries < 60 && BigInt(accountedFor(told('sendto'))) !== counted('sendto'); tries++) {
      await fixture.agent(sendto(1));
      fixture.seen('denied');
    }
    t.equal(BigInt(accountedFor(told('sendto'))), counted('sendto'), 'told and not told are all there were');
  },
);

t.test('the limit is of each technique and each process, so that a flood hides nobody else', async (t) => {
  await fixture.agent(`${sendto(1_000)}
for n in range(3):
    try: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
    except PermissionError: pass
`);
  await fixture.waitFor('denied', TELL_PROCESS);
  t.equal(told('socket_raw').length, 3);
  t.equal(accountedFor(told('socket_raw')), 3);
  // Its window begins with its first, so that there is a second one only on a machine on which that takes so long.
  const windows = windowsOf(told('sendto')) - 1;
  t.ok(told('sendto').length <= windows * TELL_PROCESS);
});

/** As an agent, while this process does nothing else: its rings are not read meanwhile. */
function agentSync(script: string): string {
  const enter = 'echo 0 > "$0/cgroup.procs" && exec python3 -c "$1"';
  const done = spawnSync('sh', ['-c', enter, fixture.directory, script], {
    encoding: 'utf8',
    timeout: 240_000,
  });
  return done.stdout + done.stderr;
}

t.test('a deny ring that is full loses events, not counts, and nothing is let through for it', async (t) => {
  const before = fixture.plane.denials().reduce((sum, { count }) => sum + count, 0n);
  const rounds = 3;
  // Every option, type of socket and kind of datagram, by as many processes as are told of: more than the ring holds.
  const said = agentSync(`
import os, socket
options = [(1, 25), (1, 62), (0, 3), (0, 4), (0, 19), (0, 16), (0, 17), (41, 6), (41, 54), (41, 55), (41, 57), (41, 59), (41, 75), (41, 34), (41, 35), (6, 19)]
refused = passed = 0
for process in range(${rounds} * ${TELL_AGENT / TELL_PROCESS}):
    r, w = os.pipe()
    if os.fork() == 0:
        s, u = socket.socket(socket.AF_INET6), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tries = [lambda l=l, o=o: s.setsockopt(l, o, bytes(4)) for l, o in options]
        tries += [lambda k=k, p=p: socket.socket(socket.AF_INET, k, p) for k, p in ((3, 1), (2, 136), (1, 262))]
        tries += [lambda: s.bind(("::1", 7777))]
        refused = passed = 0
        for attempt in tries * ${TELL_PROCESS}:
            try: attempt(); passed += 1
            except PermissionError: refused += 1
        os.write(w, b"%d %d" % (refused, passed)); os._exit(0)
    os.wait(); a, b = os.read(r, 100).split(); refused += int(a); passed += int(b); os.close(r); os.close(w)
print(refused, passed)
`);
  const [refused, passed] = said.trim().split(' ').map(Number);
  t.ok((refused ?? 0) > 10_000, said);
  t.equal(passed, 0);
  const after = fixture.plane.denials().reduce((sum, { count }) => sum + count, 0n);
  t.equal(after - before, BigInt(refused ?? 0), 'counted to the last');
});

t.test('a flow ring that is full loses events, counts them, and connections go on', async (t) => {
  /** More than the ring has room for, and fewer than may wait for the proxy at a time. */
  const CONNECTS = 60_000;
  const lostBefore = fixture.plane.counters().flowEventsLost;
  const said = agentSync(`
import socket
for n in range(${CONNECTS}):
    s = socket.socket(); s.setblocking(False); s.connect_ex(("192.0.2.1", 80)); s.close()
print("done")
`);
  t.equal(said, 'done\n');
  const lost = (): number => Number(fixture.plane.counters().flowEventsLost - lostBefore);
  t.ok(lost() > 0, `${lost()} lost`);
  const again = await fixture.agent(
    'import socket\ns = socket.socket(); s.connect(("192.0.2.2", 80)); print(s.recv(100).decode())',
  );
  t.equal(again.stdout, 'hello from the proxy\n');
  // Some of what is given up at once is told to have ended, too.
  const told = fixture.seen('open').length + fixture.seen('undelivered').length;
  t.ok(told > 50_000, `${told} told`);
  t.ok(told + lost() >= CONNECTS, 'none is missing without being counted');
});
