/**
 * What waits while there is no daemon: as much as a listener's queue has room for, and the rest is neither refused nor let
 * past. Their SYNs are sent again until there is room. The capture beyond the host is the judge of what was let past.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { must, type Running, until } from '#test/support/command.ts';
import { FAR } from '#test/support/network.ts';
import { PYTHON } from '#test/support/python.ts';
import { underServiceManager } from '#test/support/service-manager.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

/** What ARCHITECTURE says a listener's queue takes; and one more, as the kernel counts. */
const QUEUE = 4_096;
const BEYOND = 200;
/** Of the queue, those that are still there when it is served: TLS for all would only show how fast this machine is. */
const KEPT = 100;
const NUMBER = QUEUE + 1 + BEYOND;
const MARKER = 'QUEUED-5e2a';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(1_000_000);
const world = await World.open(['nginx'], undefined, { sites: ['shop.test'] });
t.teardown(() => world.close());
// Of this namespace: those of the host may be others. A SYN is sent again until there is room, however long a daemon needs to start.
await must(
  world.near.wrap(['sysctl', '-qw', `net.core.somaxconn=${QUEUE * 4}`, 'net.ipv4.tcp_syn_retries=20']),
);
const manager = underServiceManager(world);
const args = ['--listen-ports', '1'];
const sluice = await TestSluice.start(world, { ...manager, workers: 1, args });
const capture = await world.capture();

/** What it says of itself after a word, as JSON. */
async function told(agent: Running, word: string, timeoutMs: number): Promise<unknown> {
  const said = new RegExp(`^${word} (.*)\n`, 'm');
  await agent.waitFor(({ stdout }) => said.test(stdout), timeoutMs);
  return JSON.parse(said.exec(agent.stdout)?.[1] ?? '');
}

t.test(`${NUMBER} connections while there is no daemon`, async (t) => {
  const program = readFileSync(join(import.meta.dirname, '../support/programs/queued-agents.py'), 'utf8');
  const where = [FAR.ipv4, '80', String(NUMBER), String(KEPT), MARKER];
  // `sluice run` needs a daemon: it is an agent before there is none, and begins when there is none.
  const script = 'read go && exec "$@"';
  const agent = sluice.start(
    AGENTS.shop,
    ['sh', '-c', `echo up; ${script}`, 'sh', PYTHON, '-c', program, ...where],
    {
      keepStdin: true,
      timeoutMs: 300_000,
    },
  );
  await agent.waitFor(({ stdout }) => stdout.includes('up\n'));
  const { pid: daemon } = await sluice.status();
  manager.hold(true);
  sluice.kill('SIGHUP');
  await until('the daemon to be gone', () => !existsSync(`/proc/${daemon}`));
  agent.write('go\n');
  t.strictSame(
    await told(agent, 'queued', 120_000),
    { established: QUEUE + 1, waiting: BEYOND, failed: {} },
    'the queue takes what it has room for; no connection fails',
  );
  t.strictSame(await capture.packets(), [], 'and nothing of any left the host');

  agent.write('go on\n');
  await agent.waitFor(({ stdout }) => stdout.includes('reset\n'));
  manager.hold(false);
  t.strictSame(
    await told(agent, 'served', 240_000),
    { answered: KEPT + BEYOND, failed: {} },
    'all that are left are served, those there was no room for as well',
  );
  t.equal((await agent.finished).code, 0);
});

t.test('each has one record, and what left was TLS', async (t) => {
  await sluice.atRest();
  const flows = sluice.allStored().filter(({ dst }) => dst.port === 80);
  t.equal(flows.length, NUMBER);
  t.equal(flows.filter(({ reason }) => reason === 'ok').length, KEPT + BEYOND);
  await capture.assertNoPlaintext([MARKER]);
  // Who was gone when its turn came had sent its request before, and that is carried out.
  const encrypted = await capture.assertAllTls(443);
  t.ok(encrypted >= KEPT + BEYOND);
  const others = (await capture.conversations()).filter(({ serverPort }) => serverPort !== 443);
  t.strictSame(others, [], 'and nothing else');
});
