/**
 * The test world without Sluice in it. What the other end-to-end tests conclude rests on this: the servers
 * refuse plain text, the captures see it when it is there, and nothing is left over.
 */
import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { run } from '#test/support/command.ts';
import { reap, worldDir } from '#test/support/leftovers.ts';
import { FAR } from '#test/support/network.ts';
import { HTTPS_NAMES, RESPONSE_MARKER } from '#test/support/nginx.ts';
import { wireOf } from '#test/support/pcap.ts';
import { POSTGRES } from '#test/support/postgres.ts';
import { firstAnswer, tlsClient, udpClient } from '#test/support/python.ts';
import { RAW_PORTS, RAW_TLS_NAME, UDP_PORTS } from '#test/support/raw-ports.ts';
import { World } from '#test/support/world.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(1_000_000);
const world = await World.open();
t.teardown(() => world.close());
const { ca } = world.pki;

t.test('nginx answers over TLS, in both families, and not in plain text', async (t) => {
  const capture = await world.capture();
  for (const family of ['-4', '-6']) {
    const curl = ['curl', '-sS', family, '--cacert', ca, 'https://shop.test/secret/REQUEST-MARKER'];
    const { stdout, code, stderr } = await world.runBystander(curl);
    t.equal(code, 0, stderr);
    t.equal(stdout, `${RESPONSE_MARKER} GET /secret/REQUEST-MARKER\n`);
  }
  t.equal(await capture.assertAllTls(), 2);
  await capture.assertNoPlaintext([RESPONSE_MARKER, 'REQUEST-MARKER']);
  const entry = await world.nginx.waitForEntry(
    (e) => e.client === '::ffff:10.198.1.1' || e.client === '10.198.1.1',
  );
  t.match(entry, { host: 'shop.test', tls: /^TLSv1\.3$/, status: '200' });
  const refused = await world.runBystander(['curl', '-sS', 'http://shop.test/']);
  t.equal(refused.code, 7, 'nobody listens on port 80');
});

t.test('each virtual host shows the fault it is named after', async (t) => {
  const reasons: Record<string, RegExp> = {
    'expired.test': /expired/,
    'not-yet.test': /not yet valid/,
    'self-signed.test': /self.signed/,
    'wrong-name.test': /no alternative certificate subject name matches/,
    'unknown-ca.test': /unable to get local issuer certificate/,
  };
  for (const name of HTTPS_NAMES) {
    const { code, stderr, stdout } = await world.runBystander([
      'curl',
      '-sS',
      '--cacert',
      ca,
      `https://${name}/`,
    ]);
    const reason = reasons[name];
    if (reason === undefined) t.equal(code, 0, `${name} ${stderr}`);
    else t.match({ code, stderr }, { code: 60, stderr: reason }, name);
    if (name === 'client-cert.test') t.match(stdout, /No required SSL certificate was sent/);
  }
});

t.test('PostgreSQL turns a client without TLS away and serves one with it', async (t) => {
  const env = { PGPASSWORD: POSTGRES.password };
  const psql = (mode: string): string[] => [
    'psql',
    '-XAtq',
    `host=${POSTGRES.name} user=${POSTGRES.user} dbname=${POSTGRES.database} sslmode=${mode} sslrootcert=${ca}`,
    '-c',
    'select secret from vault',
  ];
  const capture = await world.capture();
  const plain = await world.runBystander(psql('disable'), { env });
  t.match(plain, { code: 2, stderr: /no pg_hba\.conf entry .* no encryption/ });
  const refused = await capture.conversations(POSTGRES.port);
  t.ok(refused.some((c) => wireOf(c.toServer) === 'plain'));
  const sealed = await world.runBystander(psql('verify-full'), { env });
  t.match(sealed, { code: 0, stdout: `${POSTGRES.rowMarker}\n` });
  await world.postgres.waitForLog(/connection authorized: user=app database=shop.* SSL enabled/);
  await capture.assertNoPlaintext([POSTGRES.rowMarker]);
});

t.test('the capture says no when plain text crosses', async (t) => {
  const capture = await world.capture();
  const { code } = await world.runBystander(['curl', '-sS', 'http://plain.test:8080/secret/LEAKED-REQUEST']);
  t.equal(code, 0);
  await t.rejects(capture.assertNoPlaintext(['LEAKED-REQUEST']), /plain text crossed.*LEAKED-REQUEST/);
  await t.rejects(capture.assertNoPlaintext([RESPONSE_MARKER]), /plain text crossed/);
  await t.rejects(capture.assertAllTls(), /not TLS/);
  await capture.assertNoPlaintext(['NEVER-SENT']);
});

t.test('the capture sees the loopback of the near side', async (t) => {
  const capture = await world.capture('loopback');
  await world.runBystander(['bash', '-c', 'printf LOCAL-MARKER >/dev/udp/127.0.0.1/4444']);
  t.equal((await capture.markersSeen(['LOCAL-MARKER'])).length > 0, true);
});

t.test('the raw servers behave as badly as they should', async (t) => {
  const said = async (port: number, ms?: number): Promise<string> =>
    (await world.runBystander(firstAnswer(FAR.ipv4, port, 'hello', ms))).stdout;
  t.equal(await said(RAW_PORTS.hang, 3_000), 'TimeoutError');
  t.equal(await said(RAW_PORTS.reset), 'ConnectionResetError');
  t.equal(await said(RAW_PORTS.finish), '');
  t.match(await said(RAW_PORTS.plain), /only speak plain text/);
  t.equal(await said(RAW_PORTS.postgresRefuses), 'N');
  t.equal(await said(RAW_PORTS.postgresUntrusted), 'S');
  t.equal((await world.raw.received('plain')).toString(), 'hello');
  const echo = await world.runBystander(tlsClient(FAR.ipv6, RAW_PORTS.echo, ca, RAW_TLS_NAME, 'ping'));
  t.equal(echo.stdout, 'ping', echo.stderr);
  t.equal(await world.raw.connections('echo'), 1);
});

t.test('names resolve by the far name server too, and datagrams come back', async (t) => {
  const curl = ['curl', '-sS', '--cacert', ca, 'https://shop.test/'];
  t.match(await world.runBystander(curl, { names: 'dns' }), { code: 0, stdout: /hello from shop\.test/ });
  t.equal((await world.raw.connections('dns')) > 0, true);
  t.equal((await world.runBystander(udpClient(FAR.ipv4, UDP_PORTS.echo, 'ding'))).stdout, 'ding');
});

t.test('a world whose owner was killed is cleared away by the next one', async (t) => {
  const script = `
    import { World } from ${JSON.stringify(new URL('../support/world.ts', import.meta.url).href)};
    const world = await World.open(['nginx']);
    console.log(world.name);
    process.kill(process.pid, 'SIGKILL');`;
  const { stdout, signal } = await run([process.execPath, '--input-type=module-typescript', '-e', script]);
  const name = stdout.trim();
  t.equal(signal, 'SIGKILL');
  t.ok(existsSync(worldDir(name)), 'it left its directory');
  t.ok(existsSync(`/run/netns/${name}-near`), 'and its namespaces');
  reap('without the host');
  t.notOk(existsSync(worldDir(name)));
  t.notOk(existsSync(`/run/netns/${name}-near`));
  t.notOk(existsSync(`/run/netns/${name}-far`));
});

t.test('Ctrl-C takes a world down', async (t) => {
  const script = `
    import { World } from ${JSON.stringify(new URL('../support/world.ts', import.meta.url).href)};
    const world = await World.open(['nginx']);
    console.log(world.name);
    process.kill(process.pid, 'SIGINT');
    setInterval(() => {}, 1000);`;
  const { stdout, code } = await run([process.execPath, '--input-type=module-typescript', '-e', script]);
  const name = stdout.trim();
  t.equal(code, 130);
  t.notOk(existsSync(worldDir(name)));
  t.notOk(existsSync(`/run/netns/${name}-near`));
  t.notMatch(readFileSync('/proc/mounts', 'utf8'), new RegExp(name));
});
