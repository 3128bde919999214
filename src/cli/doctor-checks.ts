/**
 * What `sluice doctor` looks at. Each check is a pure reading of text or numbers that the host gave, so that
 * every outcome can be tested on any host; doctor.ts binds them to this one.
 */
import type { SelfTestStatus, Status } from '../api/types.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import { findUser } from '../daemon/user.ts';
import { requireCgroup2 } from '../kernel/cgroup.ts';
import { healthOf } from './health.ts';

export interface Finding {
  readonly level: 'ok' | 'warn' | 'fail';
  readonly text: string;
  /** What to do about it; null when nothing is to be done. */
  readonly mend: string | null;
}

const ok = (text: string): Finding => ({ level: 'ok', text, mend: null });
const warn = (text: string, mend: string): Finding => ({ level: 'warn', text, mend });
const fail = (text: string, mend: string): Finding => ({ level: 'fail', text, mend });

/** The first kernel all programs load on. */
const LEAST_KERNEL = [6, 1] as const;

/** `release` as of uname(2). */
export function checkKernel(release: string): Finding {
  const match = /^(\d+)\.(\d+)/.exec(release);
  const major = Number(match?.[1] ?? 0);
  const minor = Number(match?.[2] ?? 0);
  const enough = major > LEAST_KERNEL[0] || (major === LEAST_KERNEL[0] && minor >= LEAST_KERNEL[1]);
  if (enough) return ok(release);
  return fail(
    `${release} is older than ${LEAST_KERNEL.join('.')}`,
    'boot a newer kernel; Debian 12 brings 6.1',
  );
}

export function checkBtf(exists: boolean): Finding {
  if (exists) return ok('/sys/kernel/btf/vmlinux');
  return fail('the kernel has no type information', 'boot a kernel built with CONFIG_DEBUG_INFO_BTF=y');
}

/** `mountinfo` as of proc_pid_mountinfo(5). */
export function checkCgroup(mountinfo: string, systemdRuns?: boolean): Finding {
  try {
    const path = requireCgroup2(mountinfo, systemdRuns);
    const hybrid = mountinfo.split('\n').some((line) => line.split(' - ')[1]?.startsWith('cgroup ') === true);
    return ok(hybrid ? `${path} (hybrid: controllers may be on version 1)` : path);
  } catch (error) {
    const hint = error instanceof SluiceError ? error.hint : undefined;
    return fail(messageOf(error), hint ?? 'mount -t cgroup2 none /sys/fs/cgroup');
  }
}

/** Bits of linux/capability.h. */
const CAPABILITIES = { NET_ADMIN: 12, SYS_ADMIN: 21, PERFMON: 38, BPF: 39 } as const;

/** `status` as of proc_pid_status(5), of a process like the daemon: here, the one that asks. */
export function checkCapabilities(status: string): Finding {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  const held = BigInt(`0x${hex}`);
  const has = (bit: number): boolean => ((held >> BigInt(bit)) & 1n) === 1n;
  const missing = Object.entries(CAPABILITIES)
    .filter(([, bit]) => !has(bit))
    .map(([name]) => `CAP_${name}`);
  if (missing.length === 0)
    return ok(
      Object.keys(CAPABILITIES)
        .map((name) => `CAP_${name}`)
        .join(', '),
    );
  return fail(`without ${missing.join(', ')}`, 'run it as root; in a container, give it these capabilities');
}

const BPFFS = '/sys/fs/bpf';

export function checkBpffs(mountinfo: string): Finding {
  const mounted = mountinfo.split('\n').some((line) => {
    const [before, after] = line.split(' - ');
    return before?.split(' ')[4] === BPFFS && after?.startsWith('bpf ') === true;
  });
  return mounted ? ok(BPFFS) : fail(`no bpffs at ${BPFFS}`, `mount -t bpf bpf ${BPFFS}`);
}

export interface BuildFacts {
  /** Why the addon cannot be loaded; null: it can. */
  readonly addonError: string | null;
  readonly objects: number;
  readonly canary: boolean;
}

export function checkBuild(facts: BuildFacts): Finding {
  const mend = 'scripts/lib/setup, or npm run build';
  if (facts.addonError !== null) return fail(facts.addonError, mend);
  if (facts.objects === 0) return fail('no BPF objects', mend);
  if (!facts.canary) return fail('no canary program', mend);
  return ok(`native addon, ${facts.objects} BPF objects, canary`);
}

/** `passwd` in the format of passwd(5). */
export function checkWorkerUser(user: string, passwd: string): Finding {
  try {
    return ok(`${user}, uid ${findUser(user, passwd).uid}`);
  } catch (error) {
    const hint = error instanceof SluiceError ? error.hint : undefined;
    return fail(messageOf(error), hint ?? 'give another with --worker-user');
  }
}

/** `modules`: those the kernel lists, null where that cannot be read. Without a daemon nobody has tried them. */
export function checkTier(answer: StatusOrError, modules: readonly string[] | null): Finding {
  if (!(answer instanceof SluiceError)) {
    const { tier, tierReason } = answer;
    return tierReason === null
      ? ok(`${tier}: the BPF LSM refuses what it should`)
      : noLsm(`${tier}: ${tierReason}`);
  }
  if (modules === null) return ok('not measured: no daemon runs, and securityfs is not mounted');
  return modules.includes('bpf')
    ? ok('not measured: no daemon runs; the kernel lists the BPF LSM')
    : noLsm(`base: the kernel's security modules are ${modules.join(',')}, without bpf`);
}

function noLsm(text: string): Finding {
  const mend =
    'boot a kernel with CONFIG_BPF_LSM=y and bpf in lsm= on its command line; until then take CAP_NET_RAW from agents and restrict their address families';
  return { level: 'warn', text, mend };
}

/** The daemon's status, or why it could not be had. */
export type StatusOrError = Status | SluiceError;

const START = 'start it: sluice daemon --policy FILE, or: systemctl start sluice';

export function checkDaemon(status: StatusOrError): Finding {
  if (status instanceof SluiceError) return fail(status.message, status.hint ?? START);
  const { state, reasons } = healthOf(status);
  if (state === 'not enforcing')
    return fail(`it does not enforce: ${reasons.join('; ')}`, 'see sluice status');
  if (state === 'degraded') return warn(reasons.join('; '), 'see sluice status');
  return ok(`version ${status.version}, tier ${status.tier}, policy ${status.policy.revision}`);
}

/** Of the running daemon; without one, of the pins, which `pinned` gives (null: nothing is installed). */
export function checkPrograms(status: StatusOrError, pinned: Status['programs'] | null): Finding {
  const running = !(status instanceof SluiceError);
  const programs = running ? status.programs : pinned;
  if (programs === null || programs.length === 0) return fail('no program is attached', START);
  const idle = programs.filter((program) => !program.effective).map((program) => program.name);
  if (idle.length > 0) {
    return fail(
      `without effect: ${idle.join(', ')}`,
      'start the daemon again; see its log: journalctl -u sluice',
    );
  }
  if (running) return ok(`${programs.length} in force`);
  return warn(`${programs.length} in force without a daemon: agents cannot connect`, START);
}

/** Network namespaces beside the daemon's own, and those in which agents cannot connect; null: nobody to ask. */
export function checkNamespaces(status: StatusOrError): Finding | null {
  if (status instanceof SluiceError) return null;
  const count = (name: string): number => status.counters[`namespaces.${name}`] ?? 0;
  const served = `${count('served')} beside the daemon's own with agents in them`;
  const [limit, failed, owner] = [count('refused_limit'), count('refused_error'), count('refused_owner')];
  if (limit + failed > 0)
    return warn(
      `${served}; refused ${limit} times as one too many, ${failed} times because no listener could be opened`,
      'agents there cannot connect: see the log, journalctl -u sluice',
    );
  return ok(owner === 0 ? served : `${served}; refused ${owner} times as made by an unprivileged user`);
}

/** The daemon's canary connect, or why it could not be asked for. */
export function checkCanary(result: SelfTestStatus | SluiceError): Finding {
  if (result instanceof SluiceError) return fail(`not tried: ${result.message}`, result.hint ?? START);
  if (!result.ok) return fail(result.detail, 'agents may not be governed: see the log, journalctl -u sluice');
  return ok(result.detail);
}
