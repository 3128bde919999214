/**
 * Everybody else on the host: nothing changes for a process that is no agent, with Sluice running, killed or
 * uninstalled. And the same acts by an agent, so that it is seen that these are what Sluice stops.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Finished, run, until } from '#test/support/command.ts';
import { FAR, NEAR } from '#test/support/network.ts';
import { loadedPrograms } from '#test/support/planes.ts';
import { POSTGRES } from '#test/support/postgres.ts';
import { PYTHON, tcpClient, tlsClient, udpClient } from '#test/support/python.ts';
import { RAW_PORTS, RAW_TLS_NAME, UDP_PORTS } from '#test/support/raw-ports.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const world = await World.open();
t.teardown(() => world.close());
const { ca } = world.pki;

const python = (body: string): string[] => [
  PYTHON,
  '-c',
  `import socket\ntry:\n${body.replace(/^/gm, '    ')}\nexcept OSError as error: print(type(error).__name__)`,
];

interface Act {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly names?: 'hosts' | 'dns';
  readonly bystander: RegExp;
  /** What an agent gets; undefined where it is the same. */
  readonly agent?: RegExp;
}

const PLAIN = 'http://plain.test:8080/';
const greeting = /hello from/;
const psqlUrl = (mode: string): string =>
  `host=${POSTGRES.name} user=${POSTGRES.user} dbname=${POSTGRES.database} sslmode=${mode} sslrootcert=${ca}`;

const acts: Readonly<Record<string, Act>> = {
  'plain HTTP over IPv4': {
    argv: ['curl', '-sS', '-4', PLAIN],
    bystander: greeting,
    agent: /^Sluice: the server answered in plain text/,
  },
  'plain HTTP over IPv6': {
    argv: ['curl', '-sS', '-6', PLAIN],
    bystander: greeting,
    agent: /^Sluice: the server answered in plain text/,
  },
  HTTPS: { argv: ['curl', '-sS', '--cacert', ca, 'https://shop.test/'], bystander: greeting, agent: /^$/ },
  'TLS of its own': {
    argv: tlsClient(FAR.ipv4, RAW_PORTS.echo, ca, RAW_TLS_NAME, 'ping'),
    bystander: /^ping$/,
    agent: /Error/,
  },
  'PostgreSQL with TLS': {
    argv: ['psql', '-XAtq', psqlUrl('verify-full'), '-c', 'select 6 * 7'],
    env: { PGPASSWORD: POSTGRES.password },
    bystander: /^42$/m,
    // Its SSLRequest is answered with N: Sluice speaks TLS to the server, not to the agent.
    agent: /^$/,
  },
  'UDP over IPv4': {
    argv: udpClient(FAR.ipv4, UDP_PORTS.echo, 'ding'),
    bystander: /^ding$/,
    agent: /PermissionError/,
  },
  'UDP over IPv6': {
    argv: udpClient(FAR.ipv6, UDP_PORTS.echo, 'ding'),
    bystander: /^ding$/,
    agent: /PermissionError/,
  },
  'connected UDP': {
    argv: python(
      `s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(60); s.connect(("${FAR.ipv4}", ${UDP_PORTS.echo})); s.send(b"ding"); print(s.recv(9))`,
    ),
    bystander: /ding/,
    agent: /PermissionError/,
  },
  'a raw socket': {
    argv: python(
      `s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP); s.settimeout(60)\ns.sendto(bytes([8, 0, 0xf7, 0xff, 0, 0, 0, 0]), ("${FAR.ipv4}", 0)); print("answer", len(s.recv(99)))`,
    ),
    bystander: /answer/,
    agent: /PermissionError/,
  },
  SO_BINDTODEVICE: {
    argv: python(
      `s = socket.socket(); s.settimeout(60); s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"${NEAR.device}")\ns.connect(("${FAR.ipv4}", ${RAW_PORTS.plain})); s.sendall(b"x"); print(s.recv(99))`,
    ),
    bystander: /plain text/,
    agent: /PermissionError/,
  },
  'IP options (source routing)': {
    argv: python(
      `s = socket.socket(); s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([131, 7, 4, 10, 198, 1, 2, 0])); print("set")`,
    ),
    bystander: /set/,
    agent: /PermissionError/,
  },
  'UDP-Lite': {
    argv: python('socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136); print("made")'),
    bystander: /made|OSError/,
    agent: /PermissionError|OSError/,
  },
  // The one kind of datagram an agent may send.
  DNS: { argv: ['getent', 'ahostsv4', 'shop.test'], names: 'dns', bystander: /^10\.198\.1\.2 / },
  'a server of its own on loopback': {
    argv: python(
      `a = socket.socket(); a.settimeout(60); a.bind(("127.0.0.1", 0)); a.listen(); b = socket.socket(); b.settimeout(60); b.connect(a.getsockname()); c, _ = a.accept(); c.sendall(b"local"); print(b.recv(9))`,
    ),
    bystander: /local/,
    agent: /Error/,
  },
  'a Unix socket': {
    argv: python('a, b = socket.socketpair(); a.sendall(b"pair"); print(b.recv(9))'),
    bystander: /pair/,
  },
};

const asBystander = ({ argv, env = {}, names = 'hosts' }: Act): Promise<Finished> =>
  world.runBystander(argv, { env, names, timeoutMs: 120_000 });

async function allWork(t: Test, when: string): Promise<void> {
  for (const [name, act] of Object.entries(acts)) {
    const done = await asBystander(act);
    t.match(done.stdout, act.bystander, `${name}, ${when}: ${done.stderr}`);
  }
}

t.test('before Sluice: all of it works', (t) => allWork(t, 'before'));

t.test('with Sluice', async (t) => {
  const sluice = await TestSluice.start(world);
  await t.test('all of it works as before for those who are no agents', (t) => allWork(t, 'with Sluice'));
  await t.test('and they are not on record', async (t) => {
    t.strictSame(
      sluice.log.filter((f) => f.agent === null && f.reason !== 'ok'),
      [],
    );
    t.strictSame(
      sluice.log.filter((f) => f.dst.ip === FAR.ipv4),
      [],
    );
  });

  await t.test('the same by an agent is stopped', async (t) => {
    const capture = await world.capture();
    for (const [name, act] of Object.entries(acts)) {
      const done = await sluice.run(AGENTS.shop, act.argv, {
        env: act.env ?? {},
        names: act.names ?? 'hosts',
        timeoutMs: 120_000,
      });
      t.match(done.stdout, act.agent ?? act.bystander, `${name}: ${done.stdout}${done.stderr}`);
    }
    await capture.assertAllTls();
    const strays = (await capture.packets()).filter(
      (p) => p.transport !== 'tcp' && p.dst === FAR.ipv4 && p.dstPort !== UDP_PORTS.dns,
    );
    t.strictSame(strays, [], 'no datagram, no echo request crossed');
    for (const reason of ['udp_denied', 'socket_denied', 'option_denied']) {
      t.match(await sluice.waitForFlow((f) => f.reason === reason), { agent: AGENTS.shop, verdict: 'deny' });
    }
  });

  await t.test('an exempt rule lets plain text pass, and says so', async (t) => {
    const done = await sluice.run(AGENTS.legacy, tcpClient(FAR.ipv4, RAW_PORTS.plain, 'in the open'));
    t.match(done.stdout, /only speak plain text/, done.stderr);
    t.match(await sluice.waitForFlow((f) => f.agent === AGENTS.legacy), {
      disposition: 'exempt',
      verdict: 'allow',
      rule: 'legacy-plain',
      tls: null,
    });
  });

  await t.test('a child of an agent, and one that left its cgroup, are agents still', async (t) => {
    const capture = await world.capture();
    const done = join(world.dir, 'escape-tried');
    const script = `for f in $(grep ' cgroup2 ' /proc/mounts | cut -d' ' -f2); do echo $$ >$f/cgroup.procs; done
(setsid sh -c 'curl -sS http://plain.test:8080/secret/ESCAPED 2>&1; touch "$0"' "$0" </dev/null &)
until [ -e "$0" ]; do sleep 0.1; done`;
    await sluice.run(AGENTS.shop, ['sh', '-c', script, done]);
    t.ok(existsSync(done), 'it has tried');
    await capture.assertNoPlaintext(['ESCAPED']);
  });

  sluice.kill('SIGKILL');
  await sluice.stop('SIGKILL');
  await t.test('with the daemon killed', (t) => allWork(t, 'with the daemon killed'));

  await sluice.uninstall();
  await t.test('uninstalled: all of it works, and nothing is left', async (t) => {
    await allWork(t, 'after uninstall');
    t.notOk(existsSync('/sys/fs/bpf/sluice'));
    // The kernel frees them some time after their last pin has gone.
    await until('no program to be loaded', async () => (await loadedPrograms()).length === 0);
    const mounts = (await run(['findmnt', '-t', 'cgroup2', '-n', '-o', 'TARGET'])).stdout.trim().split('\n');
    for (const mount of mounts)
      t.notOk(readdirSync(mount).includes('sluice'), `no cgroup is left in ${mount}`);
  });
});
