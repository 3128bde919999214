/**
 * Requests to cancel that come while Sluice asks the server which columns are meant, in the agent's session: they end that question and
 * nothing of the agent's. The server is real, and so is what keeps it from answering: a lock.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { Running, until } from '#test/support/command.ts';
import { MaskingProxy } from '#test/support/masking-proxy.ts';
import { SSN } from '#test/support/masks.ts';
import { startupMessage } from '#test/support/postgres-packets.ts';
import { query, wire } from '#test/support/postgres-wire.ts';
import { ScratchPostgres } from '#test/support/scratch-postgres.ts';

t.setTimeout(240_000);
await loadParser();
const server = await ScratchPostgres.start();
t.teardown(() => server.stop());
const made = await server.psql("create table people (ssn text); insert into people values ('078-05-1120');");
if (made.stderr !== '') throw new Error(made.stderr);

/** A session of somebody who has to do with no agent. */
class Psql {
  readonly #running: Running;
  #asked = 0;

  constructor() {
    const connection = `host=${server.dir} port=5432 user=postgres dbname=shop sslmode=disable`;
    this.#running = new Running(['psql', '-XAtq', connection], { keepStdin: true });
    t.teardown(() => this.#running.stop());
  }

  async ask(sql: string): Promise<string> {
    this.#asked += 1;
    const end = `answered ${this.#asked}\n`;
    const before = this.#running.stdout.length;
    this.#running.write(`${sql};\n\\echo answered ${this.#asked}\n`);
    await this.#running.waitFor(({ stdout }) => stdout.endsWith(end));
    return this.#running.stdout.slice(before, -end.length);
  }
}

/** One has the lock; what it sees of others stays the same for as long, so another looks. */
const holder = new Psql();
const watcher = new Psql();
const AGENT = "application_name = 'agent'";
const active = (what: string): string =>
  `select count(*) from pg_stat_activity where ${AGENT} and state = 'active' and query like '%${what}%'`;
/** As the server does it when a request to cancel comes. */
const CANCEL = `select count(pg_cancel_backend(pid)) from pg_stat_activity where ${AGENT}`;
// What it needs of the tables that will be locked it knows from here on.
for (const sql of [active('nothing'), CANCEL]) await watcher.ask(sql);
const runs = (what: string) => until(what, async () => (await watcher.ask(active(what))) === '1\n');
const waits = () => runs('with recursive rule(n, s, t, c)');
const lock = () => holder.ask('begin; lock table pg_catalog.pg_rewrite in access exclusive mode');
const unlock = () => holder.ask('rollback');

/** A proxy that knows nothing of the database yet. */
async function proxied(teardown: (end: () => unknown) => void): Promise<MaskingProxy> {
  const dir = mkdtempSync('/tmp/sluice-cancels-');
  teardown(() => rmSync(dir, { recursive: true, force: true }));
  chmodSync(dir, 0o755);
  const proxy = await MaskingProxy.start(dir, server.socket, [SSN]);
  teardown(() => proxy.stop());
  return proxy;
}

const session = ({ dir }: MaskingProxy, ...steps: readonly Buffer[]): Promise<Buffer> =>
  wire(join(dir, '.s.PGSQL.5432'), steps, { application_name: 'agent' });

/** What an agent was told, in short: tags of commands, first values of rows, SQLSTATEs, and states of its transaction. */
function told(answers: Buffer): string[] {
  const words: string[] = [];
  for (let at = 0; at + 5 <= answers.length; at += 1 + answers.readUInt32BE(at + 1)) {
    const end = at + 1 + answers.readUInt32BE(at + 1);
    // It has not come whole.
    if (end > answers.length) break;
    const body = answers.subarray(at + 5, end);
    const letter = String.fromCharCode(answers[at] ?? 0);
    if (letter === 'C') words.push(body.toString('latin1', 0, body.length - 1));
    else if (letter === 'D') words.push(body.toString('latin1', 6));
    else if (letter === 'E') words.push(/\0C(\w{5})\0/.exec(body.toString('latin1'))?.[1] ?? '?');
    else if (letter === 'Z') words.push(body.toString('latin1'));
  }
  return words;
}

t.test('outside of a transaction', async (t) => {
  const proxy = await proxied(t.teardown);
  await session(proxy, query('select 1'));
  await lock();
  const asking = session(
    proxy,
    query('create table one (a int)'),
    query('select pg_sleep(60)'),
    query('select ssn from people'),
  );
  await waits();
  await watcher.ask(CANCEL);
  await runs('pg_sleep');
  await watcher.ask(CANCEL);
  await unlock();
  t.strictSame(told(await asking), ['I', 'CREATE TABLE', 'I', '57014', 'I', '********', 'SELECT 1', 'I']);
  t.strictSame(proxy.errors, []);
});

t.test('before a session has begun', async (t) => {
  const proxy = await proxied(t.teardown);
  await lock();
  const asking = session(proxy, query('select 2'), query('select ssn from people'));
  await waits();
  await watcher.ask(CANCEL);
  await unlock();
  t.strictSame(told(await asking), ['I', '2', 'SELECT 1', 'I', '********', 'SELECT 1', 'I']);
});

t.test('inside of a transaction, which goes on', async (t) => {
  const proxy = await proxied(t.teardown);
  await session(proxy, query('select 1'));
  await lock();
  const asking = session(
    proxy,
    query('begin'),
    query('create table two (a int)'),
    query('insert into two values (1)'),
    query('select ssn from people'),
    query('commit'),
    query('select a from two'),
  );
  await waits();
  await watcher.ask(CANCEL);
  await unlock();
  const words = told(await asking);
  t.strictSame(words, [
    'I',
    'BEGIN',
    'T',
    'CREATE TABLE',
    'T',
    'INSERT 0 1',
    'T',
    '********',
    'SELECT 1',
    'T',
    'COMMIT',
    'I',
    '1',
    'SELECT 1',
    'I',
  ]);
});

t.test('what is sent behind it is left alone', async (t) => {
  const proxy = await proxied(t.teardown);
  await session(proxy, query('select 1'));
  await lock();
  const socket = createConnection({ path: join(proxy.dir, '.s.PGSQL.5432') });
  t.teardown(() => socket.destroy());
  let got = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    got = Buffer.concat([got, chunk]);
  });
  socket.write(startupMessage({ user: 'postgres', database: 'shop', application_name: 'agent' }));
  await until('the session to begin', () => told(got).length === 1);
  socket.write(query('create table three (a int)'));
  await waits();
  socket.write(Buffer.concat([query('select 3'), query('select ssn from people')]));
  await watcher.ask(CANCEL);
  await unlock();
  await until('all answers', () => told(got).filter((word) => word === 'I').length === 4);
  t.strictSame(told(got), ['I', 'CREATE TABLE', 'I', '3', 'SELECT 1', 'I', '********', 'SELECT 1', 'I']);
});
