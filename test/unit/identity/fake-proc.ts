/** A /proc, cgroup tree and /etc in a temporary directory, and facts that fit them. */
import { mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { kernelDevice } from '#src/identity/file-id.ts';
import type { FlowFacts } from '#src/kernel/facts.ts';

/** A /proc/PID/stat line with the name and start time (clock ticks) given. */
export function statLine(pid: number, name: string, ticks: bigint): string {
  const before = Array.from({ length: 18 }, (_, index) => index + 1).join(' ');
  return `${pid} (${name}) S ${before} ${ticks} 4096 100 0\n`;
}

export class FakeHost {
  readonly procRoot: string;
  readonly cgroupRoot: string;
  readonly etcRoot: string;
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
    this.procRoot = join(root, 'proc');
    this.cgroupRoot = join(root, 'cgroup');
    this.etcRoot = join(root, 'etc');
    for (const dir of [this.procRoot, this.cgroupRoot, this.etcRoot, join(root, 'bin')]) mkdirSync(dir);
    writeFileSync(join(this.etcRoot, 'passwd'), 'root:x:0:0::/root:/bin/sh\nbill:x:1001:1001::/:/bin/sh\n');
    writeFileSync(join(this.etcRoot, 'group'), 'root:x:0:\nbilling:x:1001:\n');
  }

  /** Makes an executable; its path. */
  executable(name: string, content: string): string {
    const path = join(this.#root, 'bin', name);
    writeFileSync(path, content);
    return path;
  }

  /** Makes a cgroup; its id. */
  cgroup(path: string): bigint {
    mkdirSync(join(this.cgroupRoot, path), { recursive: true });
    return statSync(join(this.cgroupRoot, path), { bigint: true }).ino;
  }

  /** Starts a process; facts of a flow of it, with uid and gid 1001. */
  process(options: { pid: number; ticks: bigint; exe: string; cgroup: string }): FlowFacts {
    const { pid, ticks, exe, cgroup } = options;
    const dir = join(this.procRoot, String(pid));
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir);
    writeFileSync(join(dir, 'stat'), statLine(pid, 'agent', ticks));
    writeFileSync(join(dir, 'cgroup'), `1:cpu:/elsewhere\n0::${cgroup}\n`);
    symlinkSync(exe, join(dir, 'exe'));
    const file = statSync(exe, { bigint: true });
    return facts({
      pid,
      taskStartNs: ticks * 10_000_000n + 1_234_567n,
      startNs: ticks * 10_000_000n + 5_000_000_000n,
      exeDev: kernelDevice(file.dev),
      exeInode: file.ino,
      cgroupId: this.cgroup(cgroup),
    });
  }

  end(pid: number): void {
    rmSync(join(this.procRoot, String(pid)), { recursive: true });
  }
}

/** Facts of a flow, where only what a test is about needs saying. */
export function facts(some: Partial<FlowFacts> = {}): FlowFacts {
  return {
    id: '00000000000000a1',
    startNs: 100_000_000_000n,
    netnsCookie: 1n,
    cgroupId: 77n,
    taskStartNs: 50_000_000_000n,
    exeInode: 12n,
    exeDev: 0x800001,
    pid: 4242,
    uid: 1001,
    gid: 1001,
    agentId: 99,
    dstIp: '203.0.113.7',
    dstPort: 443,
    family: 4,
    ...some,
  };
}
