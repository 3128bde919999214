/**
 * Several ports of the proxy: connections go to all of them in turn, each is held as the one port was, and together
 * they carry as many connections as each has local ports.
 */

import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import t from 'tap';
import { addon } from '#src/kernel/addon.ts';
import type { InboundRange } from '#src/kernel/inbound.ts';
import { AGENT_ID, NO_TABLES, PlaneFixture } from '#test/support/plane.ts';

const PORTS = 4;
// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const fixture = await PlaneFixture.open(PORTS);
t.teardown(() => fixture.close());
t.beforeEach(() => fixture.reset());

/** Asks for each (address, port) of its arguments by `verb`, and prints what came of it. */
const each = (verb: string): string => `
import errno, socket, struct, sys
for target in sys.argv[1:]:
    host, port = target.rsplit(",", 1)
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.settimeout(2)
    try:
        s.${verb}((host, int(port)))
        print("done")
    except OSError as error:
        print(errno.errorcode.get(error.errno, str(error)))`;

const ANYBODY: InboundRange = {
  rule: 9,
  protocol: 6,
  ports: [1, 65_535],
  addresses: ['0'.repeat(32), 'f'.repeat(32)],
};

const lines = (text: string): string[] => text.trim().split('\n');

t.test('connections of either family go to all ports in turn, and keep their facts', async (t) => {
  for (const address of ['192.0.2.7', '2001:db8::7', '::ffff:192.0.2.7']) {
    fixture.reset();
    const targets = Array.from({ length: 2 * PORTS }, (_, n) => `${address},${1000 + n}`);
    const done = await fixture.agent(each('connect'), ...targets);
    t.same(lines(done.stdout), Array(2 * PORTS).fill('done'), done.stderr);
    const taken = fixture.accepted;
    t.equal(taken.length, 2 * PORTS);
    t.same([...new Set(taken.map(({ port }) => port))].sort(), [...fixture.ports].sort());
    t.same(
      taken.map(({ facts }) => `${facts?.dstIp},${facts?.dstPort}`).sort(),
      targets.map((target) => target.replace('::ffff:', '')).sort(),
    );
  }
});

t.test('an agent gets at none of them, and cannot listen beside any', async (t) => {
  const at = (hosts: readonly string[]): string[] =>
    fixture.ports.flatMap((port) => hosts.map((host) => `${host},${port}`));
  const direct = await fixture.agent(each('connect'), ...at(['127.0.0.1', '127.9.9.9', '::1']));
  t.same([...new Set(lines(direct.stdout))], ['EPERM'], direct.stderr);
  t.equal(fixture.accepted.length, 0);
  const cgroups = [{ path: fixture.agentCgroup, agentId: AGENT_ID }];
  fixture.enrol({ ...NO_TABLES, cgroups, inbound: [{ agentId: AGENT_ID, ranges: [ANYBODY] }] });
  t.teardown(() => fixture.enrol({ ...NO_TABLES, cgroups }));
  const beside = await fixture.agent(each('bind'), ...at(['127.0.0.1', '0.0.0.0', '::1', '::']));
  t.same([...new Set(lines(beside.stdout))], ['EPERM'], 'whatever inbound rules say');
  const elsewhere = await fixture.agent(each('bind'), ...at(['127.9.9.9']));
  t.same([...new Set(lines(elsewhere.stdout))], ['done'], "the numbers at other addresses are anybody's");
});

t.test('one that is in other hands is not used, and the others are', async (t) => {
  const { fd, port } = fixture.plane.listen('127.0.0.1', 0, 16);
  fixture.plane.setProxyPorts([...fixture.ports.slice(1), port]);
  t.teardown(() => fixture.plane.setProxyPorts(fixture.ports));
  addon().closeFd(fd);
  const stolen: Buffer[] = [];
  const impostor = createServer((socket) => socket.on('data', (chunk) => stolen.push(chunk)));
  await new Promise<void>((resolve) => impostor.listen(port, '127.0.0.1', resolve));
  t.teardown(() => impostor.close());
  const targets = Array.from({ length: 4 * PORTS }, (_, n) => `192.0.2.7,${1000 + n}`);
  const done = await fixture.agent(each('connect'), ...targets);
  t.same([...new Set(lines(done.stdout))].sort(), ['EPERM', 'done']);
  t.same([...new Set(fixture.accepted.map((one) => one.port))].sort(), fixture.ports.slice(1).sort());
  t.same(stolen, []);
});

t.test('together they carry as many as each has local ports; what is beyond is told', async (t) => {
  // The last of those connect() draws from; a socket's own range must be among them.
  const [, last = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split('\t').map(Number);
  const count = 8;
  const tried = 8 * PORTS * count;
  const script = `
import errno, socket, struct, sys
kept, failed = [], []
for attempt in range(${tried}):
    s = socket.socket()
    # IP_LOCAL_PORT_RANGE, Linux 6.3
    s.setsockopt(socket.IPPROTO_IP, 51, struct.pack("I", ${last - count + 1} | ${last} << 16))
    try:
        s.connect(("192.0.2.7", 443))
        kept.append(s)
    except OSError as error:
        failed.append(errno.errorcode[error.errno])
        s.close()
print(len(kept), len(failed), *set(failed))`;
  const done = await fixture.agent(script);
  const [kept = 0, failed = 0, ...why] = done.stdout.trim().split(' ');
  // One or two may be bound by somebody else.
  t.ok(Number(kept) > (PORTS - 1) * count && Number(kept) <= PORTS * count, `${kept} were kept`);
  t.same([Number(failed), why], [tried - Number(kept), ['EADDRNOTAVAIL']], done.stderr);
  t.equal((await fixture.waitFor('undelivered', Number(failed))).length, Number(failed), 'each is told');
  t.equal(fixture.accepted.filter(({ facts }) => facts !== null).length, Number(kept));
});
