/**
 * One guest in QEMU, by software emulation: /dev/kvm is not asked for, because where it exists it may still not
 * start these kernels, and one way everywhere is a result that can be compared.
 */
import { join } from 'node:path';
import type { Selection } from '#test/support/bypass/selection.ts';
import type { MatrixResult } from '#test/support/bypass/types.ts';
import { bootGuest } from './boot.ts';
import type { Cache } from './cache.ts';
import type { Verdict } from './channel.ts';
import { ROOT_PARTUUID } from './disk.ts';
import { getKernel } from './kernel.ts';
import type { Pair } from './pairs.ts';
import { getBootDisk, getModulesDisk, makeCodeDisk } from './root.ts';

/** Emulated, a machine is ten to twenty times slower. */
const PATIENCE = 20;
/** Until a guest's first word, which takes it one or two. */
const SILENCE_MINUTES = 6;
/** The longest file is the whole bypass matrix. */
const FILE_TIMEOUT_SECONDS = 3600;
const MEMORY_MIB = 1536;
/** SSE 4.2, which Vectorscan demands, and nothing beyond: what is wider is emulated bit by bit. */
const CPU = 'Nehalem';
const CPUS = 2;

export interface GuestRun {
  readonly tests: readonly string[];
  /** Rows of the bypass matrix. */
  readonly bypass: Selection;
  /** Gets its answers as they become known; without it they are compared with those that are kept. */
  readonly onMatrix?: (matrix: MatrixResult) => void;
  /** Of the whole guest, booted once or twice: it is ended then, whatever it does. */
  readonly limitMinutes: number;
  /** Where console and channel are written. */
  readonly directory: string;
  readonly onLine: (line: string) => void;
}

/** Builds what a pair needs, unless it is there. */
export async function prepare(cache: Cache, pair: Pair): Promise<void> {
  await getKernel(cache, pair.kernel);
  await getBootDisk(cache, pair.suite);
  await getModulesDisk(cache);
}

/**
 * Boots the pair, runs the tests in it and waits for its end.
 *
 * @throws Error when the guest did not come to its end by itself, with the end of its console.
 */
export async function runGuest(cache: Cache, pair: Pair, run: GuestRun): Promise<Verdict> {
  const kernel = await getKernel(cache, pair.kernel);
  const root = await getBootDisk(cache, pair.suite);
  const modules = await getModulesDisk(cache);
  const scratch = cache.scratch('guest');
  const code = join(scratch, 'code.ext4');
  await makeCodeDisk(code, scratch, run.tests);
  // What a guest writes goes with it: one that is booted once more finds what the first one found.
  const written = 'format=raw,if=none,snapshot=on,cache=unsafe';
  const drives = [
    `file=${root},id=disk1,${written}`,
    `file=${kernel.modules},format=raw,if=none,id=disk2,readonly=on`,
    `file=${modules},format=raw,if=none,id=disk3,readonly=on`,
    `file=${code},id=disk4,${written}`,
  ];
  const argv = (console: string, channel: string): string[] => [
    'qemu-system-x86_64',
    ...['-accel', 'tcg,thread=multi,tb-size=512', '-machine', 'q35', '-cpu', CPU],
    ...['-smp', String(CPUS), '-m', String(MEMORY_MIB)],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-monitor', 'none'],
    ...['-serial', `file:${console}`, '-serial', `file:${channel}`],
    ...drives.flatMap((drive) => ['-drive', drive]),
    ...['-device', 'nvme,id=nvme,serial=guest'],
    ...drives.flatMap((_, i) => ['-device', `nvme-ns,drive=disk${i + 1},bus=nvme,nsid=${i + 1}`]),
    ...['-device', 'virtio-rng-pci'],
    ...['-kernel', kernel.vmlinux, '-append', commandLine(pair, run).join(' ')],
  ];
  return bootGuest({
    argv,
    env: { TMPDIR: scratch },
    silenceMs: SILENCE_MINUTES * 60_000,
    limitMs: run.limitMinutes * 60_000,
    directory: run.directory,
    onLine: run.onLine,
    onMatrix: run.onMatrix,
  });
}

function commandLine(pair: Pair, { tests, bypass, onMatrix }: GuestRun): string[] {
  return [
    `root=PARTUUID=${ROOT_PARTUUID}`,
    ...['rootwait', 'rw', 'rootfstype=ext4', 'console=ttyS0', 'quiet', 'loglevel=4', 'net.ifnames=0'],
    // A panic ends QEMU (-no-reboot) instead of hanging until the limit.
    ...['panic=-1', 'mitigations=off', 'random.trust_cpu=on', 'systemd.unit=sluice-guest.target'],
    ...pair.kernelArguments,
    // What the kernel does not know goes into the environment of the first process.
    `SLUICE_GUEST_TESTS=${tests.join(',')}`,
    ...['SLUICE_GUEST_CHANNEL=/dev/ttyS1', `SLUICE_GUEST_TIMEOUT=${FILE_TIMEOUT_SECONDS}`],
    `SLUICE_TEST_PATIENCE=${PATIENCE}`,
    `SLUICE_BYPASS_ROWS=${bypass}`,
    ...(onMatrix === undefined ? [] : ['SLUICE_BYPASS_RESULT=-']),
  ];
}
