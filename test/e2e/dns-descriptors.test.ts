/**
 * The forwarder without descriptors to accept with: questions by TCP wait and cost no processor, and are answered when
 * there are descriptors again.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
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

/** TCP_LISTEN, as /proc/net/tcp has it. */
const LISTEN = '0A';

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
  t.equal((await sluice.run('shop', dig(60))).stdout, `${FAR.ipv4}\n`);
  const before = await prlimit(pid, '--nofile', '--noheadings', '--raw', '-o', 'SOFT');
  await prlimit(pid, '--nofile=3:');
  // Of a listener that is shut one descriptor of two is left; there is one for each family.
  await until('the doors are shut', async () => (openDescriptors(pid).length <= listening - 2 ? true : null));
  const waiting = Array.from({ length: 3 }, () => sluice.start('shop', dig(60)));
  await until('they wait to be accepted', async () =>
    listenersOf(pid).waiting >= waiting.length ? true : null,
  );
  t.equal(listenersOf(pid).polled, 0, 'it does not ask about them: they would be ready all the time');
  await until('status to say so', async () => {
    const { reasons, enforcing } = await sluice.status();
    return enforcing && reasons.some((why) => /^the DNS forwarder has no file descriptors left/.test(why))
      ? true
      : null;
  });
  t.notOk(
    waiting.some((run) => run.ended),
    'they wait',
  );
  await prlimit(pid, `--nofile=${before}:`);
  for (const { finished } of waiting) {
    const done = await finished;
    t.equal(done.stdout, `${FAR.ipv4}\n`, `who waited is answered: ${done.stderr}`);
  }
  t.ok(listenersOf(pid).polled > 0, 'it asks again');
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

/** Of the TCP listeners it has open: how many its event loop asks about, and how many connections wait in them to be accepted. */
function listenersOf(pid: number): { readonly polled: number; readonly waiting: number } {
  const table = ['tcp', 'tcp6'].flatMap((name) =>
    readFileSync(`/proc/${pid}/net/${name}`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state]) => state === LISTEN),
  );
  // proc_pid_net(5): of a listener the receive queue is the connections that wait.
  const waitingOf = new Map(
    table.map((fields) => [`socket:[${fields[9]}]`, Number.parseInt(fields[4]?.split(':')[1] ?? '0', 16)]),
  );
  const files = new Map(openDescriptors(pid).map((fd) => [fd, linkOf(`/proc/${pid}/fd/${fd}`)]));
  const polled = [...files]
    .filter(([, file]) => file === 'anon_inode:[eventpoll]')
    .flatMap(([fd]) => [...readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8').matchAll(/^tfd:\s+(\d+)/gm)])
    .filter(([, fd = '']) => waitingOf.has(files.get(fd) ?? ''));
  const own = new Set(files.values());
  const waiting = [...waitingOf].filter(([file]) => own.has(file)).reduce((sum, [, count]) => sum + count, 0);
  return { polled: polled.length, waiting };
}

/** Descriptors come and go. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** As the forwarder's own user: another one needs CAP_SYS_RESOURCE for it, which root of a container may not have. */
async function prlimit(pid: number, ...options: readonly string[]): Promise<string> {
  const as = ['setpriv', '--reuid=sluice', '--regid=sluice', '--clear-groups', '--'];
  return (await must([...as, 'prlimit', '--pid', String(pid), ...options])).trim();
}
