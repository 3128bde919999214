/** An accepted connection as the kernel told of it: what it means, and `struct sluice_flow` as it came, in hex. */
export interface KernelFlow {
  readonly facts: FlowFacts;
  readonly text: string;
}

/**
 * What the kernel says about one connection: the decoded form of `struct sluice_flow` (bpf/api/sluice.h),
 * written by the connect hook in the context of the connecting process, so it holds even when that
 * process is gone by the time anybody reads it.
 */
export interface FlowFacts {
  /** Unique on this host across reboots: 16 lower-case hex digits, growing with time. */
  readonly id: string;
  /** When connect() was called, nanoseconds of CLOCK_BOOTTIME. */
  readonly startNs: bigint;
  readonly netnsCookie: bigint;
  /** cgroup v2 id (inode number of its directory). */
  readonly cgroupId: bigint;
  /** Start time of the process, nanoseconds of CLOCK_BOOTTIME; with `pid` it names the process for good. */
  readonly taskStartNs: bigint;
  readonly exeInode: bigint;
  /** Device of the executable as the kernel numbers it: major << 20 | minor. */
  readonly exeDev: number;
  /** Thread group id: what userspace calls a process id, in the initial pid namespace. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Which agent of the policy this process was when it connected; see `agentId()` in policy/. */
  readonly agentId: number;
  /** Text form of the original destination; v4-mapped addresses are shown as IPv4. */
  readonly dstIp: string;
  readonly dstPort: number;
  /** Address family the agent's socket had. */
  readonly family: 4 | 6;
}
