/**
 * The forwarder without descriptors to accept with: questions by TCP wait and cost no processor, and are answered when
 * there are descriptors again.
 */
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { must, until } from '#test/support/command.ts';
import { Dnsmasq } from '#test/support/dnsmasq.ts';
import { FAR } from '#test/support/network.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const world = await World.open([]);
t.teardown(() => world.close());
const dnsmasq = await Dnsmasq.start(world.far, FAR.ipv4, [`--host-record=a.test,${FAR.ipv4}`]);
world.beforeClose(() => dnsmasq.stop());
const sluice = await TestSluice.start(world, {
  policy: `version: 1
dns: { resolvers: [${FAR.ipv4}] }
agents:
  - { name: shop, match: [{ run: shop }] }
`,
});

const dig = (seconds: number): string[] => [
  'dig',
  '+tcp',
  '+short',
  `+time=${seconds}`,
  '+tries=1',
  'a.test',
  'A',
];

t.test('questions by TCP wait for descriptors, and the forwarder does not spin', async (t) => {
  const daemon = String((await sluice.status()).pid);
  const pid = Number((await must(['pgrep', '-x', '-f', 'sluice-dns', '--parent', daemon])).trim());
  const listening = openDescriptors(pid).length;
  t.equal((await sluice.run('shop', dig(10))).stdout, `${FAR.ipv4}\n`);
  const before = await prlimit(pid, '--nofile', '--noheadings', '--raw', '-o', 'SOFT');
  await prlimit(pid, '--nofile=3:');
  // Of a listener that is shut one descriptor of two is left; there is one for each family.
  await until('the doors are shut', async () => (openDescriptors(pid).length <= listening - 2 ? true : null));
  const waiting = Array.from({ length: 3 }, () => sluice.start('shop', dig(60)));
  const usedBefore = cpuMs(pid);
  const begun = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  const busy = (cpuMs(pid) - usedBefore) / (performance.now() - begun);
  t.ok(busy < 0.4, `it was busy for ${Math.round(busy * 100)} % of the time`);
  t.notOk(
    waiting.some((run) => run.ended),
    'they wait',
  );
  await prlimit(pid, `--nofile=${before}:`);
  for (const { finished } of waiting) {
    const done = await finished;
    t.equal(done.stdout, `${FAR.ipv4}\n`, `who waited is answered: ${done.stderr}`);
  }
  t.equal(
    (await must(['pgrep', '-x', '-f', 'sluice-dns', '--parent', daemon])).trim(),
    String(pid),
    'by the same',
  );
  await sluice.uninstall();
});

function openDescriptors(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`);
}

function cpuMs(pid: number): number {
  const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const fields = rest.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** As the forwarder's own user: another one needs CAP_SYS_RESOURCE for it, which root of a container may not have. */
async function prlimit(pid: number, ...options: readonly string[]): Promise<string> {
  const as = ['setpriv', '--reuid=sluice', '--regid=sluice', '--clear-groups', '--'];
  return (await must([...as, 'prlimit', '--pid', String(pid), ...options])).trim();
}
