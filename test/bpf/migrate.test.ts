/**
 * Another ABI takes the place of the one in force, under load: no agent is let through at any moment, none is refused
 * that would not be without it, and what was known stays known. Cut short at any step, enforcement goes on, and so does
 * the next attempt.
 */
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { programTypes } from '#src/kernel/pins.ts';
import { type Running, until } from '#test/support/command.ts';
import { patience } from '#test/support/patience.ts';
import { AGENT_ID, loadedPrograms, Planes } from '#test/support/planes.ts';

/** Building the versions takes a while. */
t.setTimeout(280_000 * patience);

/** As many as there are hooks, each once. */
const PROGRAMS = Object.keys(programTypes).sort();

/** Of an agent, for a step: as long as the next plane takes to be there, and longer. */
const WAIT_S = 60 * patience;

const COMMON = `
import collections, json, os, socket, sys, threading, time
def attempt(port, delay=0.0):
    s = socket.socket(); s.settimeout(${WAIT_S})
    try:
        if delay: time.sleep(delay)
        s.connect(("127.0.0.2", port))
        return s.makefile().readline().strip() or "closed"
    except OSError as error:
        return type(error).__name__ + " " + str(error.errno)
    finally:
        s.close()
`;

/** Connects all the time, by sockets of different age. */
const storm = (port: number, over: string): string => `${COMMON}
seen = collections.Counter(); lock = threading.Lock()
def work(number):
    while not os.path.exists(${JSON.stringify(over)}):
        said = attempt(${port}, number * 0.02)
        with lock: seen[said] += 1
threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
print("storming", flush=True)
for t in threads: t.start()
for t in threads: t.join()
print(json.dumps(seen), flush=True)`;

/** One connection that is used all the time. */
const talk = (port: number, over: string): string => `${COMMON}
s = socket.create_connection(("127.0.0.2", ${port}), ${WAIT_S})
f = s.makefile("rwb"); print(f.readline().decode().strip(), flush=True)
count = 0; slowest = 0.0
while not os.path.exists(${JSON.stringify(over)}):
    begun = time.monotonic(); f.write(b"%d\\n" % count); f.flush()
    if f.readline() != b"%d\\n" % count: print("broken", flush=True); sys.exit(1)
    count += 1; slowest = max(slowest, time.monotonic() - begun); time.sleep(0.001)
s.getpeername(); print("talked", count, "slowest", slowest, s.getpeername(), flush=True)`;

/** An agent that has left its cgroup, whose children connect. */
const wander = (port: number, over: string, elsewhere: string): string => `${COMMON}
open(${JSON.stringify(elsewhere)}, "w").write("0"); print("left", flush=True)
seen = collections.Counter()
while not os.path.exists(${JSON.stringify(over)}):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, attempt(${port}).encode()); os._exit(0)
    os.close(writer); seen[os.read(reader, 200).decode()] += 1; os.close(reader); os.wait()
print(json.dumps(seen), flush=True)`;

/** An agent that serves, and somebody who asks it, both on one connection and on ever new ones. */
const serve = ({ address, port }: Planes['served']): string => `
import socket, threading
l = socket.socket(); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); l.bind(("${address}", ${port})); l.listen(64)
print("serving", flush=True)
def work(c):
    while b := c.recv(100): c.sendall(b)
    c.close()
while True:
    c, _ = l.accept(); threading.Thread(target=work, args=(c,), daemon=True).start()`;
const ask = ({ address, port }: Planes['served'], over: string): string => `${COMMON}
first = socket.create_connection(("${address}", ${port}), ${WAIT_S}); seen = collections.Counter()
print("asking", flush=True)
while not os.path.exists(${JSON.stringify(over)}):
    first.sendall(b"x"); seen["same " + first.recv(10).decode()] += 1
    with socket.create_connection(("${address}", ${port}), ${WAIT_S}) as s:
        s.sendall(b"y"); seen["new " + s.recv(10).decode()] += 1
print(json.dumps(seen), flush=True)`;

const refused = (times: number): string => `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); count = 0
for n in range(${times}):
    try: s.sendto(b"x", ("127.0.0.2", 4433))
    except PermissionError: count += 1
print("refused", count, flush=True)`;

function lastLine(running: Running): string {
  return running.stdout.trim().split('\n').at(-1) ?? '';
}

t.test('under load, to the next version and to the one after it', async (t) => {
  const planes = await Planes.open(['next', 'newer']);
  t.teardown(() => planes.close());
  const { holder: first } = await planes.startWhole('present');
  const udp = planes.python(refused(7));
  await udp.finished;
  t.equal(lastLine(udp), 'refused 7');

  const greeting = `for 127.0.0.2:${planes.sentinelPort} of ${AGENT_ID}`;
  const load = {
    storm: planes.python(storm(planes.sentinelPort, planes.over)),
    talk: planes.python(talk(planes.sentinelPort, planes.over)),
    wander: planes.python(wander(planes.sentinelPort, planes.over, planes.elsewhere())),
    serve: planes.python(serve(planes.served)),
  };
  await load.storm.waitFor((r) => r.stdout.includes('storming'));
  await load.talk.waitFor((r) => r.stdout.includes(greeting));
  await load.wander.waitFor((r) => r.stdout.includes('left'));
  await load.serve.waitFor((r) => r.stdout.includes('serving'));
  const asking = planes.python(ask(planes.served, planes.over), 'elsewhere');
  await asking.waitFor((r) => r.stdout.includes('asking'));
  await setTimeout(500);

  const before = await first.retire();
  const second = await planes.startWhole('next');
  t.match(second.ready, { abi: 7, migrated: true });
  t.comment(`${second.ready.ms.toFixed(0)} ms`);
  await setTimeout(500);
  const between = await second.holder.retire();
  const third = await planes.startWhole('newer');
  t.match(third.ready, { abi: 8, migrated: true });
  t.comment(`${third.ready.ms.toFixed(0)} ms`);
  await setTimeout(500);
  const after = await third.holder.count();

  planes.endAgents();
  for (const running of [load.storm, load.talk, load.wander, asking]) await running.finished;
  t.equal(planes.leaked, 0, 'no connection came to where the agents wanted it');
  t.strictSame(Object.keys(JSON.parse(lastLine(load.storm))), [greeting], load.storm.stdout);
  t.comment(load.storm.stdout);
  t.match(lastLine(load.talk), /^talked \d+ /);
  t.comment(load.talk.stdout);
  t.strictSame(Object.keys(JSON.parse(lastLine(load.wander))), [greeting], load.wander.stdout);
  t.comment(load.wander.stdout);
  t.strictSame(Object.keys(JSON.parse(lastLine(asking))).sort(), ['new y', 'same x'], asking.stdout);
  for (const counted of [before, between, after]) {
    t.strictSame(counted.ineffective, []);
    t.equal(counted.udpRefused, 7);
    t.strictSame(counted.denials, [[AGENT_ID, 'sendto', 7]]);
  }
  for (const { kind } of [...first.events, ...second.holder.events, ...third.holder.events])
    if (kind === 'undelivered') t.fail('a flow was not delivered');
  t.strictSame(Object.keys(planes.pins()).sort(), ['links', 'maps']);
  await first.kill();
  await second.holder.kill();
  await until('the former programs to go', async () => (await loadedPrograms()).join() === PROGRAMS.join());
});

/** One attempt to connect; what came of it. */
async function attempt(planes: Planes): Promise<string> {
  const agent = planes.python(`${COMMON}print(attempt(${planes.sentinelPort}), flush=True)`);
  await agent.finished;
  return lastLine(agent);
}

/** Where it is cut short before this step, the former programs decide still. */
const IN_FORCE = 'put in force';

t.test('cut short at every step, one time after the other', async (t) => {
  const planes = await Planes.open(['next']);
  t.teardown(() => planes.close());
  const greeting = `for 127.0.0.2:${planes.sentinelPort} of ${AGENT_ID}`;
  const steps = await stepsOf(planes);
  const { holder } = await planes.startWhole('present');
  const wandering = planes.python(wander(planes.sentinelPort, planes.over, planes.elsewhere()));
  await wandering.waitFor((r) => r.stdout.includes('left'));
  await planes.python(refused(3)).finished;
  await holder.kill();
  for (const step of steps) {
    await planes.start('next', step).ended();
    t.equal(await attempt(planes), 'PermissionError 1', `${step}: agents are refused, not let through`);
    if (step !== IN_FORCE) continue;
    const former = await planes.startWhole('present');
    t.equal(await attempt(planes), greeting, 'the former version goes on where nothing was in force');
    t.strictSame((await former.holder.count()).ineffective, []);
    await former.holder.kill();
  }
  t.equal(planes.leaked, 0);
  const { holder: next, ready } = await planes.startWhole('next');
  t.equal(ready.steps.includes(IN_FORCE), false, 'it goes on where it was cut short');
  t.equal(await attempt(planes), greeting);
  const { ineffective, udpRefused, denials } = await next.count();
  t.strictSame(ineffective, []);
  t.equal(udpRefused, 3, 'what was counted is counted once');
  t.strictSame(
    denials.filter(([, technique]) => technique !== 'connect'),
    [[AGENT_ID, 'sendto', 3]],
  );
  t.strictSame(Object.keys(planes.pins()).sort(), ['links', 'maps']);
  planes.endAgents();
  await wandering.finished;
  const seen = Object.keys(JSON.parse(lastLine(wandering)) as object);
  // The last three: who had accepted it was killed, or nobody lived long enough to.
  const expected = [greeting, 'PermissionError 1', 'closed', 'ConnectionResetError 104', 'TimeoutError None'];
  t.strictSame(
    seen.filter((said) => !expected.includes(said)),
    [],
    'an agent that has left its cgroup is one all the while',
  );
  t.equal(planes.leaked, 0);
  await until('the former programs to go', async () => (await loadedPrograms()).join() === PROGRAMS.join());
  await next.kill();
  t.match(
    await planes.start('present').ended(),
    /ABI_MISMATCH/,
    'the former version does not start any more',
  );
  t.equal(await attempt(planes), 'PermissionError 1', 'and agents are refused');
});

/** All of them, by doing it once. */
async function stepsOf(planes: Planes): Promise<readonly string[]> {
  const { holder } = await planes.startWhole('present');
  await holder.kill();
  const { holder: next, ready } = await planes.startWhole('next');
  await next.kill();
  planes.uninstall();
  return ready.steps;
}
