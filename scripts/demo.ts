/**
 * The main job, shown on this machine: unmodified programs speak plain text, and what leaves the host is verified
 * TLS; with the daemon killed nothing leaves at all; and ops see every connection with the process that made it.
 *
 * Every claim that is printed has been checked: against packet captures on both sides, the servers' own logs and
 * the flow log. A claim that did not hold makes the exit code 1. The world (test/support/world.ts) goes away with
 * this process, however it ends.
 */
import { styleText } from 'node:util';
import type { Capture } from '#test/support/capture.ts';
import { type Finished, must, until } from '#test/support/command.ts';
import { RESPONSE_MARKER } from '#test/support/nginx.ts';
import { type Conversation, tlsRecords, wireOf } from '#test/support/pcap.ts';
import { POSTGRES } from '#test/support/postgres.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';
import { asHex, asText, sideBySide } from './lib/side-by-side.ts';

const SECRET = 'card=4111-1111-1111-1111';
const URL = `http://shop.test/secret/order?${SECRET}`;
const QUERY = 'select secret from vault';
/** None of these may be seen beyond the host. */
const MARKERS = [SECRET, RESPONSE_MARKER, POSTGRES.rowMarker, QUERY];
const started = performance.now();
const width = Math.min(process.stdout.columns ?? 120, 150);
let held = 0;
let broken = 0;

const print = (text = ''): void => void process.stdout.write(`${text}\n`);
// styleText asks the stream: no colour where NO_COLOR is set or nobody looks.
const styled = (style: Parameters<typeof styleText>[0], text: string): string =>
  styleText(style, text, { stream: process.stdout });

function step(text: string): void {
  const seconds = ((performance.now() - started) / 1000).toFixed(1).padStart(5);
  print(styled('dim', `${seconds} s  ${text}`));
}

function heading(text: string): void {
  print(`\n${styled('bold', text)}\n`);
}

function claim(text: string, holds: boolean, evidence = ''): void {
  if (holds) held += 1;
  else broken += 1;
  print(holds ? `${styled('green', '  holds ')} ${text}` : `${styled('red', '  BROKEN')} ${text}`);
  if (!holds && evidence !== '') print(evidence.replace(/^/gm, '           '));
}

/** For what throws when it does not hold. */
async function claimThat(text: string, check: () => Promise<unknown>): Promise<void> {
  const failure = await check().then(
    () => null,
    (error: unknown) => String(error),
  );
  claim(text, failure === null, failure ?? '');
}

function showCommand(argv: readonly string[], { stdout, stderr, code }: Finished): void {
  print(
    `  ${styled('cyan', `$ ${argv.map((word) => (/[^\w./:=@-]/.test(word) ? `'${word}'` : word)).join(' ')}`)}`,
  );
  for (const line of `${stdout}${stderr}`.trimEnd().split('\n')) print(`  ${line}`);
  print(styled('dim', `  exit code ${code}\n`));
}

const recordNames: Record<number, string> = {
  20: 'change cipher spec',
  21: 'alert',
  22: 'handshake',
  23: 'application data',
};

/** The agent's bytes on loopback beside those the far end of the veth pair received for them. */
function showBothSides(agent: Conversation, wire: Conversation): void {
  const postgres = wireOf(wire.toServer) === 'postgres-tls';
  const records = tlsRecords(wire.toServer.subarray(postgres ? 8 : 0));
  const right = [
    ...(postgres ? ['PostgreSQL SSLRequest, 8 bytes'] : []),
    ...records.slice(0, 6).map(({ type, length }) => `TLS ${recordNames[type] ?? type}, ${length} bytes`),
    ...(records.length > 6 ? [`… ${records.length} TLS records in all`] : []),
    '',
    ...asHex(wire.toServer, 4),
  ];
  const left = { title: 'the agent sent (captured on loopback)', lines: asText(agent.toServer, 12) };
  const title = `crossed the veth, to ${wire.server} port ${wire.serverPort}`;
  for (const line of sideBySide(left, { title, lines: right }, width - 2)) print(`  ${line}`);
  print();
}

async function only(
  capture: Capture,
  what: string,
  fits: (c: Conversation) => boolean,
): Promise<Conversation> {
  const found = (await capture.conversations()).filter(fits);
  if (found[0] === undefined) throw new Error(`no connection was captured: ${what}`);
  return found[0];
}

async function showHttp(sluice: TestSluice, loopback: Capture, wire: Capture): Promise<void> {
  heading('1. curl, in plain HTTP, to a server that speaks HTTPS only');
  const argv = ['curl', '-sS', URL];
  const done = await sluice.run(AGENTS.shop, argv);
  showCommand(argv, done);
  const sent = await only(loopback, 'curl on loopback', (c) => c.toServer.includes(SECRET));
  const crossed = await only(wire, 'HTTPS', (c) => c.serverPort === 443);
  showBothSides(sent, crossed);
  claim('curl got its answer', done.code === 0 && done.stdout.includes(RESPONSE_MARKER), done.stderr);
  claim('what it sent was plain text', sent.toServer.toString().startsWith('GET /secret/'));
  claim(
    'what crossed was TLS from the first byte to the last',
    crossed.whole && wireOf(crossed.toServer) === 'tls',
  );
  const entry = await sluice.world.nginx.waitForEntry((e) => e.request.includes(SECRET));
  claim(`nginx saw ${entry.tls}`, entry.tls === 'TLSv1.3');
  const six = await sluice.run(AGENTS.shop, ['curl', '-sS', '-6', URL]);
  claim('the same over IPv6', six.code === 0 && six.stdout === done.stdout, six.stderr);
}

async function showPostgres(sluice: TestSluice, loopback: Capture, wire: Capture): Promise<void> {
  heading('2. psql with sslmode=disable, to a server that takes hostssl only');
  const how = `host=${POSTGRES.name} user=${POSTGRES.user} dbname=${POSTGRES.database} sslmode=disable`;
  const argv = ['psql', '-XAt', how, '-c', QUERY];
  const env = { PGPASSWORD: POSTGRES.password };
  const alone = await sluice.world.runBystander(argv, { env });
  claim(
    'without Sluice the server turns this psql away',
    alone.code === 2 && /no encryption/.test(alone.stderr),
    alone.stderr,
  );
  const done = await sluice.run(AGENTS.shop, argv, { env });
  print();
  showCommand(argv, done);
  const sent = await only(loopback, 'psql on loopback', (c) => c.toServer.includes(QUERY));
  const crossed = await only(
    wire,
    'PostgreSQL',
    (c) => c.serverPort === POSTGRES.port && wireOf(c.toServer) === 'postgres-tls',
  );
  showBothSides(sent, crossed);
  claim('psql got its row', done.code === 0 && done.stdout.includes(POSTGRES.rowMarker), done.stderr);
  await claimThat('PostgreSQL says that the connection was encrypted', () =>
    sluice.world.postgres.waitForLog(/connection authorized: user=app .*SSL enabled/),
  );
}

async function showDeath(sluice: TestSluice, wire: Capture): Promise<void> {
  heading('3. the daemon is killed with SIGKILL; the agent tries again');
  // An agent from before: with no daemon, `sluice run` starts none.
  const argv = ['curl', '-sS', '--max-time', '60', URL];
  const script = 'echo ready; read go; exec "$@"';
  const agent = sluice.start(AGENTS.shop, ['sh', '-c', script, 'sh', ...argv], { keepStdin: true });
  await agent.waitFor((r) => r.stdout.includes('ready'));
  // What went before is over on both sides, and on record.
  await sluice.atRest();
  const { far } = sluice.world;
  const open = far.wrap(['ss', '-Htn', 'state', 'connected', 'exclude', 'time-wait']);
  await until('connections to end', async () => (await must(open)) === '');
  const before = (await wire.packets()).filter((p) => p.transport === 'tcp').length;
  const { signal } = await sluice.stop('SIGKILL');
  agent.write('go\n');
  const done = await agent.finished;
  showCommand(argv, { ...done, stdout: done.stdout.replace('ready\n', '') });
  const after = (await wire.packets()).filter((p) => p.transport === 'tcp').length;
  claim('the daemon is dead', signal === 'SIGKILL');
  claim('the same curl now fails', done.code === 7, done.stdout + done.stderr);
  claim('and not one more TCP packet crossed', after === before, `${after - before} packets crossed`);
  await sluice.startDaemon();
  const again = await sluice.run(AGENTS.shop, argv);
  claim('with a new daemon it works again', again.code === 0, again.stderr);
}

async function showFlows(sluice: TestSluice): Promise<void> {
  heading('4. the flow log');
  const fits = (program: string) => (f: { src: { exe: string | null }; verdict: string }) =>
    f.verdict === 'allow' && f.src.exe?.includes(program) === true;
  await until('the records', async () => {
    const stored = await sluice.storedFlows();
    return stored.filter(fits('curl')).length >= 3 && stored.some(fits('psql'));
  });
  const table = await sluice.cli(['flows'], { env: { COLUMNS: String(width - 2) } });
  for (const line of table.stdout.trimEnd().split('\n')) print(`  ${line}`);
  print();
  const flows = await sluice.storedFlows();
  claim(
    'curl is on record: upgraded, to shop.test, under its agent and process',
    flows.some(
      (f) =>
        fits('curl')(f) &&
        f.disposition === 'upgraded' &&
        f.dst.host === 'shop.test' &&
        f.agent === AGENTS.shop &&
        f.src.pid !== null,
    ),
  );
  claim(
    'so is psql',
    flows.some((f) => fits('psql')(f) && f.disposition === 'upgraded' && f.protocol === 'postgres'),
  );
  claim('each flow has one record', new Set(flows.map((f) => f.id)).size === flows.length);
}

async function demonstrate(): Promise<void> {
  heading('Sluice: plain in, verified TLS out');
  const world = await World.open(['nginx', 'postgres'], (text) => step(text));
  step('the daemon, with two workers');
  const sluice = await TestSluice.start(world);
  const { tier, programs } = await sluice.status();
  step(`enforcing at tier ${tier}, with ${programs.filter((p) => p.effective).length} programs attached`);
  const [loopback, wire] = [await world.capture('loopback'), await world.capture('wire')];
  step('captures on loopback and on the far end of the veth pair');
  await showHttp(sluice, loopback, wire);
  await showPostgres(sluice, loopback, wire);
  await showDeath(sluice, wire);
  await showFlows(sluice);
  heading('5. all that crossed, looked through once more');
  const agentsOnly = async (): Promise<void> => {
    await wire.assertNoPlaintext(MARKERS);
  };
  await claimThat('no request, query, row or answer crossed in plain text', agentsOnly);
  step('cleaning up');
  await world.close();
}

try {
  await demonstrate();
} catch (error) {
  broken += 1;
  process.stderr.write(
    `\nthe demo could not go on: ${error instanceof Error ? (error.stack ?? error.message) : error}\n`,
  );
}
const seconds = ((performance.now() - started) / 1000).toFixed(1);
print(`\n${held} claims held, ${broken} did not, in ${seconds} s.`);
// Exiting takes the world down, if closing it has not.
process.exit(broken === 0 ? 0 : 1);
