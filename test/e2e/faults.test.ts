/**
 * Faults of Sluice itself and attacks on it: the daemon killed, a worker killed, a port to hijack, a policy that
 * does not load, no descriptors, no disk. Each time: agents are refused rather than let through, and the record
 * says what happened.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { must, type Running, until } from '#test/support/command.ts';
import { listeningPorts } from '#test/support/listening.ts';
import { FAR } from '#test/support/network.ts';
import { RESPONSE_MARKER } from '#test/support/nginx.ts';
import { PYTHON, tcpClient } from '#test/support/python.ts';
import { RAW_PORTS } from '#test/support/raw-ports.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS, worldPolicy } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const world = await World.open(['nginx', 'raw']);
t.teardown(() => world.close());
// Ports of ended connections are free at once: an impostor would otherwise have to wait for a minute.
await must(world.near.wrap(['sysctl', '-qw', 'net.ipv4.tcp_max_tw_buckets=0']));
const sluice = await TestSluice.start(world);
const capture = await world.capture();
const MARKER = 'REQUEST-MARKER-4d02';
const curl = ['curl', '-sS', '--max-time', '60', `http://shop.test/secret/${MARKER}`];

async function works(t: Test, why: string): Promise<void> {
  const done = await sluice.run(AGENTS.shop, curl);
  t.match(done, { code: 0, stdout: `${RESPONSE_MARKER} GET` }, `${why}: ${done.stdout}${done.stderr}`);
}

/** TCP conversations beyond the host up to now: to see that an attempt added none. */
async function crossed(): Promise<number> {
  return (await capture.conversations()).length;
}

t.test('a non-agent that connects to the proxy gets nothing from it', async (t) => {
  const before = await crossed();
  for (const { ip, port } of (await sluice.status()).listeners) {
    const request = `GET /secret/${MARKER} HTTP/1.1\r\nHost: shop.test\r\n\r\n`;
    const done = await world.runBystander(tcpClient(reachable(ip), port, request));
    t.notMatch(done.stdout, /HTTP|hello/, `${ip} answers nothing of use`);
  }
  t.equal(await crossed(), before, 'nothing was carried for it');
  t.match(await sluice.waitForFlow((f) => f.reason === 'not_an_agent'), {
    disposition: 'denied',
    verdict: 'deny',
    agent: null,
  });
});

t.test("an agent that asks for the proxy's own address is refused in the kernel", async (t) => {
  for (const { ip, port } of (await sluice.status()).listeners) {
    const done = await sluice.run(AGENTS.shop, tcpClient(reachable(ip), port, MARKER));
    t.match(done.stdout, /PermissionError/);
  }
  await sluice.waitForFlow((f) => f.reason === 'proxy_direct');
});

/** An address to reach a listener at, for one that listens on all. */
function reachable(ip: string): string {
  return ip === '0.0.0.0' ? '127.0.0.1' : ip === '::' ? '::1' : ip;
}

t.test('a policy file that is broken leaves the old policy in force and says why', async (t) => {
  const { revision } = (await sluice.status()).policy;
  const good = readFileSync(sluice.policyPath, 'utf8');
  sluice.writePolicy(`${good}\nrulez: []\n`);
  sluice.kill('SIGHUP');
  const status = await until('the failed reload to show', async () => {
    const now = await sluice.status();
    return now.policy.lastError !== null && now;
  });
  t.match(status.policy, { revision, lastError: /rulez/ });
  const applied = await sluice.cli(['policy', 'apply', sluice.policyPath]);
  t.not(applied.code, 0);
  t.match(applied.stdout + applied.stderr, /rulez/);
  await works(t, 'the old policy still holds');

  sluice.writePolicy(
    worldPolicy(world, {
      rules: `\n  - { name: closed, agents: [${AGENTS.shop}], destinations: [web], action: deny, reason: Closed today. }`,
    }),
  );
  sluice.kill('SIGHUP');
  await until('the new policy', async () => (await sluice.status()).policy.revision !== revision);
  const denied = await sluice.run(AGENTS.shop, ['curl', '-sSi', 'http://shop.test/']);
  t.match(denied.stdout, /^HTTP\/1\.1 403 /, denied.stderr);
  t.match(denied.stdout, /^sluice-reason: policy_denied\r$/im);
  t.match(await sluice.waitForFlow((f) => f.reason === 'policy_denied'), { rule: 'closed', verdict: 'deny' });

  sluice.writePolicy(good);
  const restored = await sluice.cli(['policy', 'apply', sluice.policyPath]);
  t.equal(restored.code, 0, restored.stdout + restored.stderr);
  t.match((await sluice.status()).policy, { revision, lastError: null });
  await works(t, 'the first policy is back');
});

t.test(
  'a worker killed in mid-transfer: its flows end on record, it is replaced, nothing leaks',
  async (t) => {
    // Read slowly: all of it is captured.
    const script = `
import socket, time
s = socket.create_connection(("${FAR.ipv4}", ${RAW_PORTS.source}), 60)
s.sendall(b"2000000000\\n")
got = len(s.recv(1000)); print("flowing", flush=True)
try:
    while chunk := s.recv(1 << 16): got += len(chunk); time.sleep(0.01)
    print("ended early" if got < 2000000000 else "complete")
except OSError as error: print(type(error).__name__)`;
    const downloads = Array.from({ length: 6 }, () => sluice.start(AGENTS.shop, [PYTHON, '-c', script]));
    await Promise.all(downloads.map((d) => d.waitFor((r) => r.stdout.includes('flowing'))));
    // Once they have told of all of these, and of none before: whichever is killed has one.
    const busy = await until('the workers to tell of their flows', async () => {
      const { workers } = await sluice.status();
      const open = workers.reduce((sum, { openFlows }) => sum + openFlows, 0);
      return open === downloads.length && workers.find((w) => w.openFlows > 0 && w.pid !== null);
    });
    process.kill(busy.pid ?? 0, 'SIGKILL');
    const died = await sluice.waitForFlow((f) => f.reason === 'worker_died');
    t.match(died, {
      agent: AGENTS.shop,
      verdict: 'error',
      dst: { port: RAW_PORTS.source },
      worker: busy.number,
    });
    await until('an agent of it to see the end', () =>
      downloads.some((d) => /ConnectionResetError|ended early/.test(d.stdout)),
    );
    for (const download of downloads) download.kill('SIGTERM');
    for (const download of downloads) await download.finished;
    const replaced = await until('its replacement', async () =>
      (await sluice.status()).workers.find(
        (w) => w.number === busy.number && w.pid !== null && w.pid !== busy.pid,
      ),
    );
    t.ok(replaced.restarts >= 1);
    for (let i = 0; i < 6; i += 1) await works(t, 'after a worker died');
  },
);

t.test(
  'SIGKILL for the daemon: agents are refused, an impostor on the freed port gets nothing',
  async (t) => {
    const { listeners } = await sluice.status();
    await works(t, 'before');
    const before = await crossed();
    // A process that was an agent before the daemon died, and one that becomes none: both are tried below.
    const older = sluice.start(
      AGENTS.shop,
      ['sh', '-c', `echo ready; read go; exec ${curl.map((word) => `'${word}'`).join(' ')}`],
      { keepStdin: true },
    );
    await older.waitFor((r) => r.stdout.includes('ready'));
    await sluice.stop('SIGKILL');
    const port = listeners[0]?.port ?? 0;
    await until('the port to be free', () => !listeningPorts(older.pid).has(port));
    t.ok(existsSync('/sys/fs/bpf/sluice'), 'the programs are pinned');

    const impostor = startImpostor([...new Set(listeners.map((l) => l.port))]);
    await impostor.waitFor((r) => r.stdout.includes('listening'));
    older.write('go\n');
    const done = await older.finished;
    t.equal(done.code, 7, `the same curl cannot connect: ${done.stdout}${done.stderr}`);
    const fresh = await sluice.run(AGENTS.shop, curl);
    t.equal(fresh.code, 125, 'and no new agent can be started');
    t.equal(await crossed(), before, 'nothing crossed');
    t.notMatch(impostor.stdout, /accepted/, 'the impostor was never connected to');
    await impostor.stop();

    const status = await sluice.cli(['status']);
    t.equal(status.code, 3, 'status says it is not running');
    await sluice.startDaemon();
    await works(t, 'a new daemon takes over');
  },
);

function startImpostor(ports: readonly number[]): Running {
  const script = `
import selectors, socket, sys, time
selector = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    for family, ip in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        s = socket.socket(family)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for attempt in range(600):
            try: s.bind((ip, port)); break
            except OSError: time.sleep(0.05)
        s.listen(); selector.register(s, selectors.EVENT_READ)
print("listening", flush=True)
while True:
    for key, _ in selector.select():
        c, _ = key.fileobj.accept(); print("accepted", c.recv(4096), flush=True); c.close()`;
  const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--pdeathsig=KILL', '--'];
  return world.near.start([...asNobody, PYTHON, '-c', script, ...ports.map(String)]);
}

t.test('an impostor beside the running daemon gets nothing either', async (t) => {
  const script = `
import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
for port in map(int, sys.argv[1:]):
    try: s.bind(("127.0.0.1", port)); s.listen(); print("bound", s.accept())
    except OSError as error: pass
print("refused")`;
  const ports = new Set((await sluice.status()).listeners.map(({ port }) => String(port)));
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'];
  const impostor = world.near.start([...nobody, PYTHON, '-c', script, ...ports]);
  await Promise.race([impostor.finished, impostor.waitFor((r) => r.stdout.includes('refused'))]).catch(
    () => {},
  );
  for (let i = 0; i < 4; i += 1) await works(t, 'beside an impostor');
  t.notMatch(impostor.stdout, /bound/);
  await impostor.stop('SIGKILL');
});

t.test(
  'the daemon starts again over the pins of one that was killed, under load, without a leak',
  async (t) => {
    const over = join(world.dir, 'load-is-over');
    const script = `while [ ! -e '${over}' ]; do ${curl.map((word) => `'${word}'`).join(' ')} >/dev/null 2>&1; done`;
    const loads = Array.from({ length: 3 }, () => sluice.start(AGENTS.shop, ['sh', '-c', script]));
    for (let round = 0; round < 3; round += 1) {
      await sluice.stop('SIGKILL');
      await sluice.startDaemon();
      await works(t, `round ${round}`);
    }
    writeFileSync(over, '');
    for (const load of loads) await load.finished;
    await capture.assertNoPlaintext([MARKER, RESPONSE_MARKER]);
  },
);

t.test('stopping the daemon in good order does not open the gate', async (t) => {
  const agent = sluice.start(
    AGENTS.shop,
    ['sh', '-c', `echo ready; read go; exec ${curl.map((w) => `'${w}'`).join(' ')}`],
    {
      keepStdin: true,
    },
  );
  await agent.waitFor((r) => r.stdout.includes('ready'));
  const before = await crossed();
  const ended = await sluice.stop();
  t.equal(ended.code, 0, ended.stderr.slice(-2000));
  agent.write('go\n');
  t.equal((await agent.finished).code, 7);
  t.equal(await crossed(), before);
  await sluice.startDaemon();
});

t.test('after all of it: nothing but TLS left the host, and no flow has two records', async (t) => {
  await capture.assertNoPlaintext([MARKER, RESPONSE_MARKER]);
  await capture.assertAllTls();
  const ids = sluice.log.map((f) => f.id);
  t.equal(new Set(ids).size, ids.length);
});
