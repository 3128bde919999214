/**
 * Every way to authenticate that PostgreSQL 15 has for a client in plain text, through a worker of Sluice to a real server that takes TLS
 * only: what the server's log calls the method, and what a client is told that cannot be let in. No kernel plane, so no lock.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type CommandOptions, type Finished, must, run } from '#test/support/command.ts';
import { startDirectories } from '#test/support/directories.ts';
import { POSTGRES } from '#test/support/postgres.ts';
import { findDirectories } from '#test/support/postgres-versions.ts';
import { SecuredPostgres } from '#test/support/secured-postgres.ts';
import { destination, policy, rule, TestProxy } from '#test/unit/proxy/harness.ts';

t.setTimeout(1_000_000);
const PASSWORD = POSTGRES.password;
const place = (await must(['mktemp', '-d', '/tmp/sluice-users-XXXXXX'])).trim();
await must(['chmod', '0755', place]);
t.teardown(() => run(['rm', '-rf', place]));
const found = findDirectories();
const directories =
  'missing' in found ? null : await startDirectories(found.root, place, POSTGRES.name, PASSWORD);
t.teardown(() => directories?.stop());
const skip = 'missing' in found && found.missing;

const METHODS = {
  trust: 'trust',
  password: 'password',
  md5: 'md5',
  scram: 'scram-sha-256',
  pam: 'pam pamservice=sluice-test',
  cert: 'cert clientname=CN',
  twice: 'scram-sha-256 clientcert=verify-full',
  nobody: 'reject',
  gss: directories?.methods.gss ?? 'reject',
  ldap: directories?.methods.ldap ?? 'reject',
} as const;
type User = keyof typeof METHODS;
const users = Object.keys(METHODS) as User[];

const pam = join(place, 'pam');
mkdirSync(pam);
// PAM asks a program that has the password on its standard input, as the service's file says; it is in sight of this server alone.
writeFileSync(join(pam, 'asked'), `#!/bin/sh\ntr -d '\\0' | grep -qxF '${PASSWORD}'\n`);
writeFileSync(
  join(pam, 'sluice-test'),
  `auth required pam_exec.so quiet expose_authtok ${pam}/asked\naccount required pam_permit.so\n`,
);
await must(['chmod', '-R', 'a+rX', pam]);
await must(['chmod', '0755', join(pam, 'asked')]);
const ownPam = ['unshare', '--mount', '--propagation', 'private', '--', 'sh', '-c'];
const server = await SecuredPostgres.start({
  hba: users.map((user) => `hostssl all ${user} 127.0.0.1/32 ${METHODS[user]}`),
  settings: { krb_server_keyfile: directories?.keytab ?? '' },
  env: directories?.server ?? {},
  wrapper: [...ownPam, `mount --bind ${pam} /etc/pam.d && exec "$@"`, 'sh'],
});
t.teardown(() => server.stop());
await server.administer(
  users
    .map((user) => {
      const encryption = user === 'md5' ? 'md5' : 'scram-sha-256';
      return `set password_encryption = '${encryption}'; create role "${user}" login password '${PASSWORD}';`;
    })
    .join('\n'),
);

/** Where agents connect to, by the certificate that policy has Sluice show. */
async function proxyFor(certificateOf: string | null): Promise<TestProxy> {
  const own = certificateOf === null ? null : await server.pki.issue(certificateOf);
  const tls = {
    serverName: POSTGRES.name,
    ca: readFileSync(server.pki.ca, 'utf8'),
    minVersion: 'TLSv1.2',
    negotiation: 'postgres',
    clientCertificate:
      own === null ? null : { cert: readFileSync(own.cert, 'utf8'), key: readFileSync(own.key, 'utf8') },
  } as const;
  const proxy = await TestProxy.start(
    t.teardown,
    policy([destination({ protocol: 'postgres', tls })], [rule()]),
  );
  proxy.target = { port: server.port };
  return proxy;
}
const plain = await proxyFor(null);

function psql(user: User, proxy: TestProxy, more = '', options: CommandOptions = {}): Promise<Finished> {
  const where = `host=127.0.0.1 port=${proxy.port} user=${user} dbname=${POSTGRES.database} sslmode=disable ${more}`;
  const question = 'select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()';
  const argv = ['psql', '-XAtqw', '-c', question, where];
  return run(argv, { ...options, env: { PGPASSWORD: PASSWORD, ...options.env } });
}

for (const user of ['trust', 'password', 'md5', 'scram', 'pam', 'ldap'] as const)
  t.test(METHODS[user], { skip: user === 'ldap' && skip }, async (t) => {
    const done = await psql(user, plain);
    t.match(done, { code: 0, stdout: `${user}|t\n` }, done.stderr);
    const [method] = METHODS[user].split(' ');
    if (user !== 'trust')
      await server.waitForLog(new RegExp(`authenticated: identity="[^"]*${user}[^"]*" method=${method}`));
    await server.waitForLog(
      new RegExp(`authorized: user=${user} database=shop.*SSL enabled \\(protocol=TLSv1\\.3`),
    );
    if (user === 'trust') return;
    const wrong = await psql(user, plain, '', { env: { PGPASSWORD: 'wrong' } });
    t.match(wrong, { code: 2, stderr: /FATAL: {2}\w[\w-]* authentication failed for user/i }, wrong.stderr);
    t.notMatch(wrong.stderr, /Sluice/, "the server's own words");
  });

t.test('a client certificate, which policy names and Sluice shows', async (t) => {
  for (const user of ['cert', 'twice'] as const) {
    const done = await psql(user, await proxyFor(user));
    t.match(done, { code: 0, stdout: `${user}|t\n` }, done.stderr);
    await server.waitForLog(
      new RegExp(`authenticated: identity=".*${user}" method=${METHODS[user].split(' ')[0]}`),
    );
    const other = await psql(user, await proxyFor('scram'));
    t.match(other, { code: 2, stderr: /FATAL: {2}/ }, 'another name');
    const without = await psql(user, plain);
    t.match(without, { code: 2, stderr: /requires a valid client certificate/ }, without.stderr);
  }
});

t.test('Kerberos, whose encryption is refused and whose tickets pass', { skip }, async (t) => {
  const env = directories?.agent ?? {};
  const call = `host=${POSTGRES.name} hostaddr=127.0.0.1`;
  const done = await psql('gss', plain, `${call} gssencmode=prefer`, { env });
  t.match(done, { code: 0, stdout: 'gss|t\n' }, done.stderr);
  await server.waitForLog(/authenticated: identity="gss@WORLD\.TEST" method=gss/);
  const demanded = await psql('gss', plain, `${call} gssencmode=require`, { env });
  t.match(demanded, { code: 2, stderr: /doesn't support GSSAPI encryption/ }, demanded.stderr);
  const none = { KRB5CCNAME: 'FILE:/nonexistent' };
  const without = await psql('gss', plain, call, { env: { ...env, ...none } });
  t.match(without, { code: 2, stderr: /GSSAPI continuation error|GSS.*[Nn]o.*credential/ }, without.stderr);
});

t.test('who is rejected hears why from the server', async (t) => {
  const done = await psql('nobody', plain);
  t.match(done, { code: 2, stderr: /pg_hba\.conf rejects connection/ }, done.stderr);
});

t.test('a client that demands to bind to TLS says that it cannot', async (t) => {
  const scram = await psql('scram', plain, 'channel_binding=require');
  t.match(scram, { code: 2, stderr: /channel binding (?:is )?required/ }, scram.stderr);
  const other = await psql('password', plain, 'channel_binding=require');
  t.match(other, { code: 2, stderr: /channel binding/ }, other.stderr);
  const tls = await psql('scram', plain, 'sslmode=require');
  t.match(tls, { code: 2, stderr: /server does not support SSL/ }, tls.stderr);
});

t.test('a client that says it could bind is told by Sluice what to do about it', async (t) => {
  const program = `import pg from 'pg';
    const [port, could] = process.argv.slice(1);
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'scram', password: process.env.PGPASSWORD, database: 'shop',
      enableChannelBinding: could === 'yes' });
    await client.connect().then(() => client.query('select current_user'))
      .then(({ rows }) => console.log(rows[0].current_user), ({ code, message, hint }) => console.log(code, message, hint));
    await client.end();`;
  const node = async (could: string): Promise<string> => {
    const argv = [process.execPath, '--input-type=module', '-e', program, String(plain.port), could];
    const options = { cwd: join(import.meta.dirname, '../..'), env: { PGPASSWORD: PASSWORD } };
    const done = await run(argv, options);
    return done.stdout + done.stderr;
  };
  t.equal(await node('no'), 'scram\n');
  t.match(await node('yes'), /^28000 Sluice: the client could bind .* Turn channel binding off/);
});

t.test('what a worker reports holds no password', (t) => {
  t.notMatch(JSON.stringify(plain.messages), PASSWORD);
  t.end();
});
