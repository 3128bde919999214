/**
 * The judge of leaks, judged: something of each kind is left behind on purpose, and `residueOf` has to show it, by its
 * name and nothing else; without it the tests that end with "nothing is left" would hold nothing.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import t, { type Test } from 'tap';
import { apiSocketPath, DEFAULT_PIN_DIR } from '#src/api/paths.ts';
import type { Status } from '#src/api/types.ts';
import { addon, buildPaths, type NativeObject } from '#src/kernel/addon.ts';
import { findCgroup2 } from '#src/kernel/cgroup.ts';
import { layout } from '#src/kernel/layout.ts';
import { must, until } from '#test/support/command.ts';
import { PYTHON } from '#test/support/python.ts';
import { childrenOf, type Residue, residueOf } from '#test/support/residue.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(1_000_000);
const MAPS = `${DEFAULT_PIN_DIR}/maps`;
/** Caches and counts, which are not emptied, and what is no table of entries. A table that is new is not among them. */
const KEPT = [
  ...['sluice_cgroups', 'sluice_exe_paths', 'sluice_cgroup_paths', 'sluice_told'],
  ...['sluice_denied', 'sluice_config', 'sluice_counters', 'sluice_seq', 'sluice_socks', 'sluice_untagged'],
  ...['sluice_ring_flow', 'sluice_ring_deny', 'sluice_ring_netns'],
];

const world = await World.open([]);
t.teardown(() => world.close());
const sluice = await TestSluice.start(world, { workers: 1 });
await sluice.run(AGENTS.shop, ['true']);
await sluice.atRest();
const status = await sluice.status();

/** With this process for the daemon: there it can be said what is left open. */
const own = { ...status, pid: process.pid };

function differing(one: Residue, other: Residue): string[] {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].filter((name) => !isDeepStrictEqual(one[name], other[name])).sort();
}

/** The self-test has what it needs on its way: a process, with all that comes with one. */
const isTesting = (): boolean => childrenOf(status.pid).some(({ kind }) => kind === 'other');

/** What stays as it is while the self-test rests. */
async function atRest(of: Status = status): Promise<Residue> {
  let last: Residue | null = null;
  return until('residue to stay the same', async () => {
    const before = last;
    last = isTesting() ? null : await residueOf([world.near], of);
    return last !== null && !isTesting() && isDeepStrictEqual(last, before) && last;
  });
}

const residue = await atRest();
const ownResidue = await atRest(own);

/** @param leak leaves something, and gives what takes it away */
async function shows(
  t: Test,
  names: readonly string[],
  leak: () => (() => unknown) | Promise<() => unknown>,
  of = status,
): Promise<void> {
  const before = of === own ? ownResidue : residue;
  const clear = await leak();
  let seen: string[] = [];
  await until(`${names} to show`, async () => {
    seen = differing(before, await residueOf([world.near], of));
    return isDeepStrictEqual(seen, names);
  }).catch(() => undefined);
  t.strictSame(seen, names, names.join(', '));
  await clear();
  await until(`${names} to be gone`, async () => {
    seen = differing(before, await residueOf([world.near], of));
    return seen.length === 0;
  }).catch(() => undefined);
  t.strictSame(seen, [], 'and gone when it is gone');
}

/** Nobody's: the generation, agent or process of this number is none there is. */
function keyFor(name: string, size: number): Buffer {
  const key = Buffer.alloc(size, 0xfe);
  if (name === 'sluice_uids') key.writeUInt32LE(64);
  return key;
}

/** Of flows, one of the future: the daemon looks after those that have waited long. */
function valueFor(name: string, size: number): Buffer {
  const value = Buffer.alloc(size);
  if (name === 'sluice_tuples' || name === 'sluice_datagrams')
    value.writeBigUInt64LE(2n ** 63n, layout.sluice_flow.fields.start_ns);
  return value;
}

t.test('an entry in any table', async (t) => {
  const names = readdirSync(MAPS).filter((name) => !KEPT.includes(name));
  t.ok(names.length > 12, names.join(', '));
  for (const name of names) {
    const { keySize, valueSize } = addon().mapShape(`${MAPS}/${name}`);
    await shows(t, [name], () => {
      const map = new (addon().BpfMap)(`${MAPS}/${name}`);
      const key = keyFor(name, keySize);
      map.update(key, valueFor(name, valueSize));
      return () => {
        map.delete(key);
        map.close();
      };
    });
  }
});

t.test('a pin, in either directory', async (t) => {
  for (const kind of ['maps', 'links'])
    await shows(t, ['pins'], async () => {
      // A link to a pin is a pin.
      const leaked = `${DEFAULT_PIN_DIR}/${kind}/leaked`;
      await must(['bpftool', 'map', 'pin', 'pinned', `${MAPS}/sluice_seq`, leaked]);
      return () => rmSync(leaked);
    });
});

t.test('a program, and a link', async (t) => {
  const load = (): NativeObject => {
    const object = new (addon().BpfObject)(`${buildPaths.objects}/dns.bpf.o`, MAPS);
    object.load();
    return object;
  };
  await shows(t, ['programs'], () => {
    const object = load();
    return () => object.close();
  });
  await shows(t, ['links', 'programs'], () => {
    const object = load();
    // Beside those of Sluice, and of the same hook: where nobody is.
    const cgroup = `${findCgroup2()}/sluice-residue-${process.pid}`;
    const pin = `/sys/fs/bpf/sluice-residue-${process.pid}`;
    mkdirSync(cgroup);
    object.attach('sluice_recvmsg4', cgroup, pin);
    return () => {
      rmSync(pin);
      rmdirSync(cgroup);
      object.close();
    };
  });
});

t.test('a cgroup of a run', async (t) => {
  await shows(t, ['cgroups'], () => {
    const cgroup = `${findCgroup2()}/sluice/leaked-${process.pid}`;
    mkdirSync(cgroup);
    return () => rmdirSync(cgroup);
  });
});

t.test('a listener in a network namespace', async (t) => {
  for (const type of ['STREAM', 'DGRAM'])
    await shows(t, ['sockets on loopback'], async () => {
      const script = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_${type}); s.bind(("127.0.0.1", 0))
if s.type == socket.SOCK_STREAM: s.listen()
print("there", flush=True); sys.stdin.read()`;
      const listener = world.near.start([PYTHON, '-c', script], { keepStdin: true });
      await listener.waitFor((r) => r.stdout.includes('there'));
      return () => listener.stop();
    });
});

t.test('a descriptor: of the daemon, by what it is of; of a process of its', async (t) => {
  await shows(
    t,
    ['descriptors of the daemon'],
    () => {
      const fd = openSync('/dev/full', 'r');
      return () => closeSync(fd);
    },
    own,
  );
  // The daemon itself: what asks its API and is not answered yet.
  await shows(t, ['descriptors of the daemon'], async () => {
    const path = apiSocketPath(sluice.runtimeDir);
    const held = await new Promise<Socket>((resolve) => {
      const socket = connect(path, () => resolve(socket));
    });
    return () => held.destroy();
  });
});

t.test('a process, with what it has open; a network namespace that is kept', async (t) => {
  for (const [title, kind] of [
    ['sluice-worker', 'worker'],
    ['sluice-dns', 'forwarder'],
  ] as const)
    await shows(
      t,
      [`descriptors of ${kind === 'worker' ? 'workers' : 'the forwarder'}`, 'processes'],
      () => {
        const child = spawn('sleep', ['600'], { argv0: title, stdio: 'ignore' });
        return async () => {
          const gone = once(child, 'exit');
          child.kill();
          await gone;
        };
      },
      own,
    );
  await shows(
    t,
    ['descriptors of the daemon', 'namespaces'],
    async () => {
      const inside = world.far.start([PYTHON, '-c', 'print("there", flush=True); input()'], {
        keepStdin: true,
      });
      await inside.waitFor((r) => r.stdout.includes('there'));
      const fd = openSync(`/proc/${inside.pid}/ns/net`, 'r');
      await inside.stop();
      return () => closeSync(fd);
    },
    own,
  );
});
