/**
 * Five thousand short connections from two agents at once, by processes that exit as soon as they have what
 * they want: every one has exactly one record, and that names the process that made it.
 */
import t from 'tap';
import { FAR } from '#test/support/network.ts';
import { PYTHON } from '#test/support/python.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

const PROCESSES_EACH = 25;
const CONNECTIONS_EACH = 100;
const TOTAL = 2 * PROCESSES_EACH * CONNECTIONS_EACH;

/**
 * Starts one process after another, two at a time. Each prints a line for every connection: its pid, its own
 * port, and whether the answer was the one to its question.
 */
const storm = (agent: string): string[] => {
  const script = `
import os, socket, sys
def work():
    lines = []
    for i in range(${CONNECTIONS_EACH}):
        s = socket.create_connection(("${FAR.ipv4}", 80), 120)
        path = f"/secret/STORM-${agent}-{os.getpid()}-{i}"
        s.sendall(f"GET {path} HTTP/1.1\\r\\nHost: shop.test\\r\\nConnection: close\\r\\n\\r\\n".encode())
        got = b""
        while chunk := s.recv(65536): got += chunk
        lines.append(f"{os.getpid()} {s.getsockname()[1]} {path.encode() in got}")
        s.close()
    sys.stdout.write("\\n".join(lines) + "\\n"); sys.stdout.flush()
left, running = ${PROCESSES_EACH}, 0
while left or running:
    while left and running < 2:
        left -= 1; running += 1
        if os.fork() == 0:
            work(); os._exit(0)
    os.wait(); running -= 1`;
  return [PYTHON, '-c', script];
};

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(1_000_000);
t.test(`${TOTAL} connections: all served, all recorded once, none misattributed`, async (t) => {
  const world = await World.open(['nginx']);
  t.teardown(() => world.close());
  const sluice = await TestSluice.start(world);
  const capture = await world.capture();
  const agents = [AGENTS.shop, AGENTS.stock];
  const finished = await Promise.all(
    agents.map((agent) => sluice.run(agent, storm(agent), { timeoutMs: 200_000 })),
  );

  const made: string[] = [];
  for (const [i, { stdout, stderr, code }] of finished.entries()) {
    t.equal(code, 0, stderr);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
    t.equal(
      lines.filter((line) => line[2] === 'True').length,
      TOTAL / 2,
      'every answer was the one to its question',
    );
    made.push(...lines.map(([pid, port]) => `${agents[i]} ${pid} ${port}`));
  }
  const flows = await sluice.waitForFlows(TOTAL, (f) => f.dst.port === 80, 60_000);
  const recorded = flows.map((f) => `${f.agent} ${f.src.pid} ${f.src.port}`);
  t.strictSame(recorded.sort(), made.sort(), 'the records are the connections, with agent, process and port');
  t.equal(new Set(flows.map((f) => f.id)).size, TOTAL, 'each under an id of its own');
  t.strictSame([...new Set(flows.map((f) => f.reason))], ['ok']);
  t.ok(
    flows.every((f) => f.src.exe?.includes('python')),
    'the program is known though the process is gone',
  );
  t.equal(new Set(flows.map((f) => f.worker)).size, 2, 'both workers carried some');

  // Kept open by the agents' side or by the capture, nothing of it may be left in the tables.
  await sluice.atRest();
  const { ledger, rings } = await sluice.status();
  t.match(ledger, { open: 0, lost: 0 });
  t.match(rings, { flow: { lost: 0 } });
  await capture.assertNoPlaintext(['STORM-']);
  const conversations = await capture.conversations(443);
  t.equal(conversations.length, TOTAL, 'one connection left the host for each');
});
