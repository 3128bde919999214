/** What attestation costs the daemon for each connection, by itself. */
import { spawn } from 'node:child_process';
import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Attestor } from '#src/identity/attest.ts';
import { kernelDevice } from '#src/identity/file-id.ts';
import { cgroupId, findCgroup2 } from '#src/kernel/cgroup.ts';
import type { FlowFacts } from '#src/kernel/facts.ts';

const CONNECTIONS = 200_000;
const PROCESSES = 100;
/** USER_HZ, in which proc(5) gives start times. */
const TICK_NS = 10_000_000n;

export interface Attestation {
  /** Processor time of one, nanoseconds: of a process that was attested before, and of one that was not. */
  readonly knownNs: number;
  readonly newNs: number;
}

function factsOf(pid: number, root: string): FlowFacts {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const ticks = BigInt(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 0);
  const exe = statSync(readlinkSync(`/proc/${pid}/exe`), { bigint: true });
  const cgroup = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'latin1'))?.[1] ?? '/';
  return {
    ...{ id: '0', startNs: 0n, netnsCookie: 0n, dstIp: '192.0.2.1', dstPort: 80, family: 4 },
    ...{ pid, uid: 0, gid: 0, agentId: 1 },
    cgroupId: cgroupId(join(root, cgroup)),
    taskStartNs: ticks * TICK_NS,
    exeInode: exe.ino,
    exeDev: kernelDevice(exe.dev),
  };
}

async function cpuNs(count: number, work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / count;
}

export async function measureAttestation(): Promise<Attestation> {
  const root = findCgroup2();
  const policy = {
    trustDomain: 'example.org',
    spiffeTemplate: 'spiffe://{trust_domain}/host/{host}/agent/{agent}',
    agents: [{ id: 1, name: 'bench', groups: ['batch'] }],
  };
  const attestor = new Attestor({ cgroupRoot: root, policy: () => policy });
  const children = Array.from({ length: PROCESSES }, () => spawn('sleep', ['infinity'], { stdio: 'ignore' }));
  try {
    await Promise.all(children.map((child) => new Promise((resolve) => child.once('spawn', resolve))));
    const all = children.map(({ pid }) => factsOf(pid ?? 0, root));
    // The executable's digest is of the file, not of each process: it is there when the others come.
    const [first, ...others] = all;
    if (first !== undefined) await attestor.attest(first);
    const newNs = await cpuNs(others.length, async () => {
      for (const facts of others) await attestor.attest(facts);
    });
    const knownNs = await cpuNs(CONNECTIONS, async () => {
      for (let n = 0; n < CONNECTIONS; n += 1) await attestor.attest(all[n % all.length] ?? factsOf(1, root));
    });
    return { knownNs, newNs };
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}
