/**
 * Proves that enforcement works instead of assuming it: asks the kernel whether the programs are effective where
 * agents are, and lets a real agent process try what an agent would. What only the BPF LSM refuses is reported apart: its
 * absence is another tier and no failure.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { messageOf } from '../core/errors.ts';
import { buildPaths } from '../kernel/addon.ts';
import { sluiceCgroups } from '../kernel/cgroup.ts';
import type { ProgramState } from '../kernel/pins.ts';

const CANARY_TIMEOUT_MS = 10_000;

export interface SelfTestResult {
  readonly ok: boolean;
  /** One sentence. */
  readonly detail: string;
  /** What was not refused of all that the BPF LSM refuses; null: nothing. */
  readonly openToLsm: string | null;
}

export interface SelfTestOptions {
  readonly cgroupRoot: string;
  /** Cgroup paths agents are enrolled by. */
  readonly agentCgroups: readonly string[];
  readonly programs: (cgroup: string) => readonly ProgramState[];
  /** Path of a Unix socket that is closed to agents and that the canary may make. */
  readonly closedSocket: string;
}

function ineffective(options: SelfTestOptions): string[] {
  const missing: string[] = [];
  for (const path of ['', ...options.agentCgroups]) {
    const directory = `${options.cgroupRoot}${path}`;
    if (!existsSync(directory)) continue;
    for (const program of options.programs(directory))
      if (!program.effective) missing.push(`${program.name} at ${path === '' ? '/' : path}`);
  }
  return missing;
}

const LAST_LINE = 'done ok';
const NOT_TRIED = 'the canary has not run';

function runCanary(directory: string, args: readonly string[]): Promise<SelfTestResult> {
  return new Promise((resolve) => {
    execFile(
      buildPaths.canary,
      [directory, ...args],
      { timeout: CANARY_TIMEOUT_MS },
      (error, stdout, stderr) => {
        const lines = stdout.trim().split('\n');
        const failures = lines.filter((line) => line.includes(' FAIL '));
        const open = lines.filter((line) => line.includes(' open '));
        const openToLsm = open.length > 0 ? open.join(', ').replaceAll(' open ', ' ') : null;
        const done = lines.filter((line) => !line.includes(' open ') && line !== LAST_LINE);
        if (error === null && failures.length === 0)
          resolve({ ok: true, detail: `canary: ${done.join(', ')}`, openToLsm });
        else {
          const said = failures.join('; ') || stderr.trim() || messageOf(error);
          resolve({ ok: false, detail: `canary failed: ${said}`, openToLsm: openToLsm ?? unfinished(lines) });
        }
      },
    );
  });
}

/** A canary that ended early has not tried what comes last. */
function unfinished(lines: readonly string[]): string | null {
  return lines.at(-1) === LAST_LINE ? null : NOT_TRIED;
}

function canaryDirectory(cgroupRoot: string): string {
  const directory = `${cgroupRoot}${sluiceCgroups.canary}`;
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** Never rejects: a test that could not run has failed. */
export async function selfTest(options: SelfTestOptions): Promise<SelfTestResult> {
  try {
    const missing = ineffective(options);
    const result = await runCanary(canaryDirectory(options.cgroupRoot), [options.closedSocket]);
    if (missing.length === 0) return result;
    return { ...result, ok: false, detail: `programs not effective: ${missing.join(', ')}` };
  } catch (error) {
    return { ok: false, detail: `self-test could not run: ${messageOf(error)}`, openToLsm: NOT_TRIED };
  }
}

/** Only what the BPF LSM refuses, which needs no other layer. Null: all of it was refused. Never rejects. */
export async function tryLsm(cgroupRoot: string, closedSocket: string): Promise<string | null> {
  try {
    const { ok, detail, openToLsm } = await runCanary(canaryDirectory(cgroupRoot), [closedSocket, 'lsm']);
    return ok ? openToLsm : detail;
  } catch (error) {
    return messageOf(error);
  }
}
