/**
 * Proves that enforcement works instead of assuming it: asks the kernel whether the programs are effective where
 * agents are, and lets a real agent process try what an agent would.
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
}

export interface SelfTestOptions {
  readonly cgroupRoot: string;
  /** Cgroup paths agents are enrolled by. */
  readonly agentCgroups: readonly string[];
  readonly programs: (cgroup: string) => readonly ProgramState[];
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

function runCanary(directory: string): Promise<SelfTestResult> {
  return new Promise((resolve) => {
    execFile(buildPaths.canary, [directory], { timeout: CANARY_TIMEOUT_MS }, (error, stdout, stderr) => {
      const lines = stdout.trim().split('\n');
      const failures = lines.filter((line) => line.includes(' FAIL '));
      if (error === null && failures.length === 0)
        resolve({ ok: true, detail: `canary: ${lines.join(', ')}` });
      else {
        const said = failures.join('; ') || stderr.trim() || messageOf(error);
        resolve({ ok: false, detail: `canary failed: ${said}` });
      }
    });
  });
}

/** Never rejects: a test that could not run has failed. */
export async function selfTest(options: SelfTestOptions): Promise<SelfTestResult> {
  try {
    const missing = ineffective(options);
    if (missing.length > 0) return { ok: false, detail: `programs not effective: ${missing.join(', ')}` };
    const directory = `${options.cgroupRoot}${sluiceCgroups.canary}`;
    mkdirSync(directory, { recursive: true });
    return await runCanary(directory);
  } catch (error) {
    return { ok: false, detail: `self-test could not run: ${messageOf(error)}` };
  }
}
