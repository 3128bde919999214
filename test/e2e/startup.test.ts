/**
 * What PostgreSQL's clients say before a session and beside it, against a real server: its log is the judge.
 */
import { appendFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Running } from '#test/support/command.ts';
import { must, until } from '#test/support/command.ts';
import { FAR } from '#test/support/network.ts';
import { POSTGRES } from '#test/support/postgres.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS, worldPolicy } from '#test/support/world-policy.ts';

t.setTimeout(1_000_000);
const RAW_CLIENT = join(import.meta.dirname, '../support/programs/postgres-session.py');
const PYTHON = '/usr/bin/python3';
const world = await World.open(['postgres']);
t.teardown(() => world.close());
const data = join(world.dir, 'pg/data');

/** Who is let in how; the password of each is that of the world's user. */
const METHODS = {
  freely: 'trust',
  plainly: 'password',
  hashed: 'md5',
  app: 'scram-sha-256',
  shown: 'cert',
} as const;

await prepareServer();
const rules = `
  - { name: backup, agents: [${AGENTS.stock}, ${AGENTS.legacy}], destinations: [db], action: allow, replication: true }
  - { name: by-certificate, agents: [${AGENTS.modern}], destinations: [db-with-certificate], action: allow }`;
const more = `operations:
  - { name: no-drop, agents: [${AGENTS.legacy}], destinations: [db], effects: [schema-destruction], action: deny }
`;
const certificate = `
  - name: db-with-certificate
    cidrs: [${FAR.ipv4}]
    ports: [${POSTGRES.port}]
    protocol: postgres
    tls:
      ca: ${world.pki.ca}
      server_name: ${POSTGRES.name}
      client_certificate: { cert: ${world.clientCertificate.cert}, key: ${world.clientCertificate.key} }`;
const policy = worldPolicy(world, { rules, more }).replace(
  'destinations:\n',
  `destinations:${certificate}\n`,
);
const sluice = await TestSluice.start(world, { policy });

const env = { PGPASSWORD: POSTGRES.password };
const connectionOf = (user: string): string =>
  `host=${POSTGRES.name} hostaddr=${FAR.ipv4} user=${user} dbname=${POSTGRES.database} sslmode=disable`;

function fileOf(name: string, content: string): string {
  const path = join(world.dir, name);
  writeFileSync(path, content, { mode: 0o644 });
  return path;
}

/** What the superuser says by the server's own socket. */
async function administer(...statements: readonly string[]): Promise<string> {
  const script = statements.flatMap((statement) => ['-c', statement]);
  const psql = ['psql', '-XAtq', '-h', data, '-U', 'postgres', ...script, 'postgres'];
  const asPostgres = ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups', '--'];
  return (await must([...asPostgres, ...psql], { cwd: data })).trim();
}

async function prepareServer(): Promise<void> {
  const hba = Object.entries(METHODS).map(([user, method]) => {
    const map = method === 'cert' ? ' map=anybody' : '';
    return `hostssl all,replication ${user} 0.0.0.0/0 ${method}${map}\n`;
  });
  writeFileSync(join(data, 'pg_hba.conf'), `local all postgres peer\n${hba.join('')}`);
  appendFileSync(join(data, 'pg_ident.conf'), 'anybody /^.*$ shown\n');
  const pid = await must(['head', '-1', join(data, 'postmaster.pid')]);
  process.kill(Number(pid), 'SIGHUP');
  await until('the server to let its superuser in', () => administer('select 1').catch(() => null));
  await must(['install', '-o', 'postgres', '-m', '0600', world.pki.ca, join(data, 'ca.crt')]);
  await administer(
    'create role freely login replication',
    `create role plainly login password '${POSTGRES.password}'`,
    `set password_encryption = md5; create role hashed login password '${POSTGRES.password}'`,
    'create role shown login',
    'alter role app replication',
    "alter system set ssl_ca_file = 'ca.crt'",
    'select pg_reload_conf()',
  );
}

const connections = (): number => world.postgres.log.split('connection received').length - 1;
const cancelled = (): number =>
  world.postgres.log.split('canceling statement due to user request').length - 1;

t.test('every way to authenticate that the server has leads in, and wrong ones are told', async (t) => {
  for (const [user, method] of Object.entries(METHODS)) {
    const agent = method === 'cert' ? AGENTS.modern : AGENTS.shop;
    const query = 'select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()';
    const psql = ['psql', '-XAtq', '-c', query, connectionOf(user)];
    t.match(await sluice.run(agent, psql, { env }), { code: 0, stdout: `${user}|t\n` }, method);
    if (method === 'trust' || method === 'cert') continue;
    const wrong = await sluice.run(agent, psql, { env: { PGPASSWORD: 'wrong' } });
    t.match(wrong, { code: 2, stderr: /FATAL: {2}password authentication failed/ }, method);
  }
  const without = await sluice.run(AGENTS.shop, ['psql', '-XAtq', '-c', 'select 1', connectionOf('shown')], {
    env,
  });
  t.match(without, { code: 2, stderr: /FATAL: {2}connection requires a valid client certificate/ });
  const binding = `${connectionOf('app')} channel_binding=require`;
  const demanding = await sluice.run(AGENTS.shop, ['psql', '-XAtq', '-c', 'select 1', binding], { env });
  t.match(demanding, { code: 2, stderr: /channel binding required/ }, 'which plain text does not have');
  const preferring = `${connectionOf('app').replace('disable', 'prefer')} channel_binding=prefer gssencmode=prefer`;
  const preferred = await sluice.run(AGENTS.shop, ['psql', '-XAtq', '-c', 'select 1', preferring], { env });
  t.match(preferred, { code: 0, stdout: '1\n' });
});

interface Raw {
  readonly running: Running;
  /** All it has told. */
  readonly told: () => readonly Record<string, unknown>[];
  readonly waitFor: (key: string, count?: number) => Promise<Record<string, unknown>>;
}

function rawSession(agent: string, ...options: readonly string[]): Raw {
  return rawSessionOf(agent, 'freely', ...options);
}

function rawSessionOf(agent: string, user: string, ...options: readonly string[]): Raw {
  const target = [FAR.ipv4, String(POSTGRES.port), user, POSTGRES.database];
  const running = sluice.start(agent, [PYTHON, RAW_CLIENT, 'session', ...target, ...options], {
    keepStdin: true,
  });
  const told = () =>
    running.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const waitFor = (key: string, count = 1) =>
    until(`${key} of a session`, () => told().filter((each) => key in each)[count - 1], 60_000).catch(
      (error: Error) => {
        throw new Error(`${error.message}\n${running.stdout}${running.stderr}`);
      },
    );
  return { running, told, waitFor };
}

async function rawCancel(agent: string, process: unknown, key: unknown): Promise<string> {
  const argv = [PYTHON, RAW_CLIENT, 'cancel', FAR.ipv4, String(POSTGRES.port), String(process), String(key)];
  return (await sluice.run(agent, argv)).stdout;
}

t.test('requests for encryption in either order, a later version, unknown options', async (t) => {
  for (const before of ['gss,ssl', 'ssl,gss', 'gss', 'ssl']) {
    const raw = rawSession(AGENTS.shop, '--before', before);
    await raw.waitFor('ready');
    const answers = raw.told().filter(({ asked }) => asked !== undefined);
    t.same(
      answers,
      before.split(',').map((asked) => ({ asked, answer: 'N' })),
    );
    await raw.running.stop();
  }
  const raw = rawSession(AGENTS.shop, '--minor', '2', '--set', '_pq_.unheard_of=1');
  await raw.waitFor('ready');
  t.match(raw.told()[0], { unknown: ['_pq_.unheard_of'], count: 1 }, 'negotiated by the server');
  raw.running.write('select pg_backend_pid()\n');
  const { process } = await raw.waitFor('process');
  t.same(await raw.waitFor('value'), { value: String(process) }, 'the process is the one the server knows');
  await raw.running.stop();
});

t.test('channel binding is not offered, and who says that he could do it is told', async (t) => {
  const cannot = rawSessionOf(AGENTS.shop, 'app', '--flag', 'n');
  t.same(await cannot.waitFor('offered'), { offered: ['SCRAM-SHA-256'] });
  t.same(await cannot.waitFor('goes_on'), { goes_on: 11 }, "the server's challenge");
  const could = rawSessionOf(AGENTS.shop, 'app', '--flag', 'y');
  t.match(await could.waitFor('error'), {
    error: { code: '28000', message: /^Sluice: the client could bind/ },
  });
  await Promise.all([cannot.running.finished, could.running.finished]);
});

t.test("TLS of the client's own, from the first byte, needs a rule that lets it pass", async (t) => {
  const direct = fileOf(
    'direct.py',
    `import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
context.set_alpn_protocols(["postgresql"])
try:
    context.wrap_socket(socket.create_connection((sys.argv[2], int(sys.argv[3]))), server_hostname="${POSTGRES.name}")
except ssl.SSLError as e:
    print(e.reason)
`,
  );
  const before = connections();
  const done = await sluice.run(AGENTS.shop, [PYTHON, direct, world.pki.ca, FAR.ipv4, String(POSTGRES.port)]);
  t.match(done, { stdout: 'TLSV1_ALERT_ACCESS_DENIED\n', stderr: '' });
  t.match(await sluice.waitForFlow(({ reason }) => reason === 'agent_tls_denied'), {
    protocol: 'tls',
    verdict: 'deny',
  });
  t.equal(connections(), before);
});

/** Waits until the log says that so many were cancelled in all, and no more. */
async function cancelledInAll(t: Test, count: number): Promise<void> {
  await until(`${count} cancelled queries`, () => cancelled() >= count);
  t.equal(cancelled(), count);
}

/** Waits until a query sleeps in the server. */
async function asleep(seconds: number): Promise<void> {
  const sleeping = `select count(*) from pg_stat_activity where wait_event = 'PgSleep' and query like '%pg_sleep(${seconds})%'`;
  await until(`pg_sleep(${seconds})`, async () => (await administer(sleeping)) === '1');
}

t.test('psql ends its query by Ctrl-C', async (t) => {
  const before = cancelled();
  const psql = ['psql', '-XAtq', '-c', 'select pg_sleep(601)', connectionOf('app')];
  const running = sluice.start(AGENTS.shop, psql, { env });
  await asleep(601);
  running.kill('SIGINT');
  t.match((await running.finished).stderr, /ERROR: {2}canceling statement due to user request/);
  await cancelledInAll(t, before + 1);
});

const SLEEPER = fileOf(
  'sleeper.py',
  `import os, psycopg, sys, threading
def cancel_when_told(c):
    sys.stdin.readline()
    c.cancel()
with psycopg.connect(sys.argv[1], autocommit=True) as c:
    print("ready", os.getpid(), flush=True)
    while sys.stdin.readline():
        other = threading.Thread(target=cancel_when_told, args=(c,))
        other.start()
        try:
            c.execute("select pg_sleep(602)")
            print("slept", flush=True)
        except psycopg.errors.QueryCanceled:
            print("cancelled", flush=True)
        other.join()
`,
);

interface Sleeper {
  readonly running: Running;
  readonly pid: number;
  /** Begins a query, and has it cancelled once it runs; what came of it. */
  readonly sleep: () => Promise<string | undefined>;
}

async function startSleeper(agent: string): Promise<Sleeper> {
  const running = sluice.start(agent, [PYTHON, SLEEPER, connectionOf('app')], { env, keepStdin: true });
  await running.waitFor((r) => /^ready \d+\n/.test(r.stdout));
  let lines = 1;
  const sleep = async () => {
    running.write('begin\n');
    await asleep(602);
    running.write('cancel\n');
    lines += 1;
    await running.waitFor((r) => r.stdout.split('\n').length > lines);
    return running.stdout.split('\n')[lines - 1];
  };
  return { running, pid: Number(/^ready (\d+)/.exec(running.stdout)?.[1]), sleep };
}

/** The kernel says which worker gets a request: that all of so many come to one is as good as impossible. */
const REQUESTS_MAX = 60;

t.test('psycopg cancels, whichever worker the request comes to, and over restarts', async (t) => {
  const before = cancelled();
  const { running, pid, sleep } = await startSleeper(AGENTS.shop);
  let asked = 0;
  const cancels = async (what: string): Promise<void> => {
    asked += 1;
    t.equal(await sleep(), 'cancelled', what);
  };
  let workers = new Set<unknown>();
  while (asked < 10 || (workers.size < 2 && asked < REQUESTS_MAX)) {
    await cancels('of one worker or the other');
    // The session has no record yet, so these are all requests to cancel.
    const requests = await sluice.waitForFlows(asked, ({ src }) => src.pid === pid);
    workers = new Set(requests.map(({ worker }) => worker));
  }
  t.equal(workers.size, 2, 'some came to the worker that has the session, others to the other');
  t.match(await sluice.cli(['workers', 'restart'], { timeoutMs: 60_000 }), { code: 0 });
  for (let time = 0; time < 3; time += 1) await cancels('its worker is drained');
  await sluice.restart('SIGUSR2');
  for (let time = 0; time < 3; time += 1) await cancels('by another daemon');
  await cancelledInAll(t, before + asked);
  await running.stop();
});

t.test('nobody cancels what is not his, and the server hears nothing of who tries', async (t) => {
  const raw = rawSession(AGENTS.shop);
  const { process, key } = await raw.waitFor('process');
  await raw.waitFor('ready');
  raw.running.write('select pg_sleep(603)\n');
  await asleep(603);
  const [before, ended] = [connections(), cancelled()];
  const guess = key === '00000001' ? '00000002' : '00000001';
  const foreign = [
    [AGENTS.stock, process, key],
    [AGENTS.shop, process, guess],
    [AGENTS.shop, Number(process) + 1, key],
    [AGENTS.shop, process, `${key}00`],
  ] as const;
  for (const [agent, pid, secret] of foreign)
    t.equal(await rawCancel(agent, pid, secret), '{"end": "reset"}\n');
  const records = await sluice.waitForFlows(4, ({ reason }) => reason === 'cancel_denied');
  t.match(records[0], { agent: AGENTS.stock, verdict: 'deny', disposition: 'denied', protocol: 'postgres' });
  t.equal(records.length, 4);
  t.equal(connections(), before, 'no connection was made for them');
  t.equal(cancelled(), ended);
  t.notOk(
    raw.told().some((each) => 'error' in each),
    'the query runs on',
  );
  t.equal(await rawCancel(AGENTS.shop, process, key), '{"end": "closed"}\n');
  t.match(await raw.waitFor('error'), { error: { code: '57014' } });
  await cancelledInAll(t, ended + 1);
  await raw.running.stop();
});

t.test('whatever the server takes for replication, Sluice does', async (t) => {
  const walsenders = (): number => world.postgres.log.split('replication connection authorized').length - 1;
  const before = walsenders();
  const spelled = ['t', 'TR', 'true', 'True', 'y', 'yE', 'yes', 'on', 'ON', '1', 'database'];
  for (const value of spelled) {
    const raw = rawSession(AGENTS.shop, '--set', `replication=${value}`);
    t.match(await raw.waitFor('error'), { error: { code: '28000', message: /asks for replication/ } }, value);
    await raw.running.finished;
  }
  t.equal(walsenders(), before);
  for (const value of spelled) {
    const raw = rawSession(AGENTS.stock, '--set', `replication=${value}`);
    await raw.waitFor('ready');
    await raw.running.stop();
  }
  await until('as many walsenders', () => walsenders() === before + spelled.length);
  const others = [
    'replication=Database',
    'Replication=true',
    'options=-c replication=true',
    'replication=o',
    'replication=2',
  ];
  for (const setting of others) {
    const raw = rawSession(AGENTS.shop, '--set', setting);
    await raw.waitFor('error');
    await raw.running.finished;
  }
  for (const value of ['off', 'F', '0', 'n']) {
    const raw = rawSession(AGENTS.shop, '--set', `replication=${value}`);
    await raw.waitFor('ready');
    await raw.running.stop();
  }
  t.equal(walsenders(), before + spelled.length);
});

t.test('replication: nobody without a rule, and backups with one', async (t) => {
  const before = connections();
  const target = join(world.dir, 'denied');
  const replication = `dbname=replication ${connectionOf('app').replace(/dbname=\S+/, '')}`;
  const programs = [
    ['pg_basebackup', '-D', target, '-d', replication],
    ['pg_receivewal', '-n', '-D', world.dir, '-d', replication],
    ['pg_recvlogical', '-d', connectionOf('app'), '--slot', 's', '--create-slot'],
    ['psql', '-XAtq', '-c', 'IDENTIFY_SYSTEM', `${connectionOf('app')} replication=YES`],
  ];
  for (const [program = '', ...args] of programs) {
    const done = await sluice.run(AGENTS.shop, [program, ...args], { env });
    t.not(done.code, 0, program);
    t.match(
      done.stderr,
      /FATAL: {2}Sluice: the agent asks for replication and no rule allows that to "db"/,
      program,
    );
  }
  t.match(await sluice.waitForFlow(({ reason }) => reason === 'replication_denied'), {
    verdict: 'deny',
    agent: AGENTS.shop,
  });
  const governed = await sluice.run(AGENTS.legacy, programs[3] ?? [], { env });
  t.match(governed.stderr, /rule "no-drop" is about operations, which cannot be read/);
  t.equal(connections(), before, 'the server was asked by none of them');

  const backup = join(world.dir, 'backup');
  const taken = await sluice.run(
    AGENTS.stock,
    ['pg_basebackup', '-X', 'stream', '-c', 'fast', '-D', backup, '-d', replication],
    {
      env,
      timeoutMs: 120_000,
    },
  );
  t.match(taken, { code: 0 });
  t.match(await world.near.run(['/usr/lib/postgresql/15/bin/pg_verifybackup', backup]), {
    code: 0,
    stdout: /verified/,
  });
  const wal = join(world.dir, 'wal');
  mkdirSync(wal);
  const end = await administer('create table moves (a int)', 'select pg_current_wal_lsn()');
  // It ends where something is written behind that.
  await administer('create table moves_on (a int)');
  const receive = ['pg_receivewal', '-n', '-D', wal, '-E', end, '-d', replication];
  t.match(await sluice.run(AGENTS.stock, receive, { env, timeoutMs: 120_000 }), { code: 0 });
  t.ok(readdirSync(wal).length > 0, 'what was written has been received');
  const asked = ['psql', '-XAtq', '-c', 'IDENTIFY_SYSTEM', `${connectionOf('app')} replication=database`];
  t.match(await sluice.run(AGENTS.stock, asked, { env }), { code: 0, stdout: /^\d+\|1\|.*\|shop\n/ });
  t.match(world.postgres.log, /replication connection authorized: user=app/);
});
