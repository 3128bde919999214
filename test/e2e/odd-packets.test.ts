/**
 * Fragments, IP options and extension headers: what an agent might hide a packet's ports behind. Its own sockets make
 * none, so they are sent by raw sockets a process had opened before it was an agent; and datagrams longer than the way is
 * wide by sockets of which the kernel makes fragments. The far side's capture is the judge, and the same program sends
 * all of them as nobody's agent, last: these arrive.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Running, until } from '#test/support/command.ts';
import { FAR, NEAR } from '#test/support/network.ts';
import { PYTHON } from '#test/support/python.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(1_000_000);
const program = readFileSync(join(import.meta.dirname, '../support/programs/odd-packets.py'), 'utf8');

/** By kind what the record of the refusal says was tried. */
const KINDS = {
  first4: 'packet_fragment',
  later4: 'packet_fragment',
  options4: 'packet_options',
  first6: 'packet_fragment',
  later6: 'packet_fragment',
  atomic6: 'packet_fragment',
  hopopts6: 'packet_extension',
  dstopts6: 'packet_extension',
  routing6: 'packet_extension',
  auth6: 'packet_extension',
  cut4: 'packet_udp',
  cut6: 'packet_udp',
} as const;
type Kind = keyof typeof KINDS;
const kinds = Object.keys(KINDS) as Kind[];

const world = await World.open([]);
t.teardown(() => world.close());
// The least that IPv6 allows.
await world.near.configure([`link set ${NEAR.device} mtu 1280`]);
const sluice = await TestSluice.start(world, { workers: 1 });
const capture = await world.capture();

async function startSender(user: number): Promise<Running> {
  const argv = [PYTHON, '-c', program, FAR.ipv4, FAR.ipv6, String(user)];
  const sender = world.near.start(argv, { keepStdin: true, timeoutMs: 600_000 });
  await sender.waitFor((r) => r.stdout.includes('there\n'));
  return sender;
}

/** What the kernel answered. */
async function send(sender: Running, kind: Kind): Promise<string> {
  const mark = sender.stdout.length;
  sender.write(`${kind}\n`);
  await sender.waitFor((r) => r.stdout.slice(mark).includes('\n'));
  return sender.stdout.slice(mark).trim();
}

async function arrived(): Promise<Kind[]> {
  const bytes = await capture.bytes();
  return kinds.filter((kind) => bytes.includes(`ODD-${kind}-`));
}

for (const [user, agent] of [
  [0, AGENTS.shop],
  [61_236, AGENTS.stock],
] as const)
  t.test(`an agent that is ${user === 0 ? 'root' : 'somebody else'} sends none`, async (t) => {
    const sender = await startSender(user);
    const enrolled = await sluice.cli(['enrol', String(sender.pid), '--as', agent, '--now']);
    t.equal(enrolled.code, 0, enrolled.stdout + enrolled.stderr);
    for (const kind of kinds) {
      const before = sluice.log.length;
      await send(sender, kind);
      const told = await until(`the record of ${kind}`, () =>
        sluice.log.slice(before).find((flow) => flow.agent === agent && flow.technique !== null),
      ).catch(() => null);
      t.equal(told?.technique, KINDS[kind], kind);
      t.match(told?.dst.ip, kind.endsWith('4') ? FAR.ipv4 : FAR.ipv6, kind);
    }
    t.strictSame(await arrived(), [], 'nothing of it is on the wire');
    await sender.stop();
  });

t.test('who is no agent sends them', async (t) => {
  const sender = await startSender(0);
  for (const kind of kinds) t.equal(await send(sender, kind), `${kind} sent`);
  await until('all of them to arrive', async () => (await arrived()).length === kinds.length).catch(
    () => undefined,
  );
  t.strictSame(await arrived(), kinds, 'so it was Sluice that kept the others');
  const fragments = (await capture.packets()).filter(({ payload }) => payload.includes('ODD-cut'));
  t.ok(fragments.length > 4, 'and the kernel did cut the long ones');
  await sender.stop();
});
