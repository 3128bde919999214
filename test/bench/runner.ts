/**
 * The order of things: everything measured in one go, A B C D A B C D …, so that what changes on the machine
 * meanwhile hits all contenders alike. Each run is preceded, once, by a warm-up that is not counted.
 */
import { settledCpuSeconds } from './accounting.ts';
import { contenders } from './contenders/all.ts';
import type { Options } from './options.ts';
import type {
  BenchWorld,
  ContenderName,
  Outcome,
  RunningContender,
  Sample,
  Workload,
  WorkloadName,
} from './types.ts';
import { bulk } from './workloads/bulk.ts';
import { holdIdleFlows, processesFor } from './workloads/idle.ts';
import { pgbench, pgbenchOne, pgbenchPrepared } from './workloads/pgbench.ts';
import { connections, requests16, requests64 } from './workloads/requests.ts';
import { rows } from './workloads/rows.ts';

const WORKLOADS: readonly Workload[] = [
  ...[bulk, requests16, requests64, connections],
  ...[pgbench, pgbenchPrepared, pgbenchOne, rows],
];

export function needsPostgres(workload: WorkloadName): boolean {
  return WORKLOADS.some(({ name, service }) => name === workload && service === 'postgres');
}

export interface Absent {
  readonly contender: ContenderName;
  readonly why: string;
}

export interface Measured {
  readonly samples: readonly Sample[];
  readonly absent: readonly Absent[];
}

export type Progress = (text: string) => void;

interface Running {
  readonly name: ContenderName;
  readonly contender: RunningContender;
}

/** Starts a contender; one that does not come up is noted and left out, so that the others are still measured. */
async function startOr(
  world: BenchWorld,
  name: ContenderName,
  processes: number,
  absent: Absent[],
): Promise<Running[]> {
  try {
    return [{ name, contender: await contenders[name].start(world, processes) }];
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (!absent.some(({ contender }) => contender === name)) absent.push({ contender: name, why });
    return [];
  }
}

async function measure(
  { name, contender }: Running,
  workload: WorkloadName,
  round: number,
  work: () => Promise<Outcome & { readonly residentBytes?: number }>,
): Promise<Sample> {
  const before = await settledCpuSeconds(contender.pids);
  const outcome = await work();
  const after = await settledCpuSeconds(contender.pids);
  const cpuSeconds = contender.pids.length === 0 ? null : after - before;
  return { residentBytes: null, ...outcome, workload, contender: name, round, cpuSeconds };
}

/** The workloads that run against one process of each contender, all of them up throughout. */
async function measureThroughput(
  world: BenchWorld,
  options: Options,
  absent: Absent[],
  progress: Progress,
): Promise<Sample[]> {
  const workloads = WORKLOADS.filter(({ name }) => options.workloads.includes(name));
  const services = new Set(workloads.map(({ service }) => service));
  const running: Running[] = [];
  const samples: Sample[] = [];
  const able = (workload: Workload): Running[] =>
    running.filter(({ name }) => contenders[name].services.includes(workload.service));
  try {
    for (const name of options.contenders) {
      if (!contenders[name].services.some((service) => services.has(service))) continue;
      progress(`starting ${name}`);
      running.push(...(await startOr(world, name, 1, absent)));
    }
    for (const workload of workloads) {
      if (workloads.some(({ name }) => name === workload.warmedBy)) continue;
      for (const { name, contender } of able(workload)) {
        progress(`warm-up · ${workload.name} · ${name}`);
        await workload.run(world, contender, options.effort, true);
      }
    }
    for (let round = 1; round <= options.rounds; round += 1) {
      for (const workload of workloads) {
        for (const one of able(workload)) {
          progress(`round ${round} of ${options.rounds} · ${workload.name} · ${one.name}`);
          const work = (): Promise<Outcome> => workload.run(world, one.contender, options.effort, false);
          samples.push(await measure(one, workload.name, round, work));
        }
      }
    }
  } finally {
    for (const { contender } of running.toReversed()) await contender.stop();
  }
  return samples;
}

/** Idle flows, each round from fresh processes: memory once grown would hide what the next flows need. */
async function measureIdle(
  world: BenchWorld,
  options: Options,
  absent: Absent[],
  progress: Progress,
): Promise<Sample[]> {
  const { idleFlows } = options.effort;
  const processes = processesFor(idleFlows);
  const samples: Sample[] = [];
  const names = options.contenders.filter(
    (name) => name !== 'direct' && contenders[name].services.includes('http'),
  );
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const name of names) {
      if (absent.some(({ contender }) => contender === name)) continue;
      progress(
        `round ${round} of ${options.rounds} · idle · ${name} · ${idleFlows} flows, ${processes} processes`,
      );
      for (const one of await startOr(world, name, processes, absent)) {
        try {
          samples.push(
            await measure(one, 'idle', round, () => holdIdleFlows(world, one.contender, idleFlows)),
          );
        } finally {
          await one.contender.stop();
        }
      }
    }
  }
  return samples;
}

/** Measures all that the options ask for. Throws when a run fails: a benchmark with holes misleads. */
export async function measureAll(world: BenchWorld, options: Options, progress: Progress): Promise<Measured> {
  const absent: Absent[] = [];
  const samples: Sample[] = [];
  if (options.workloads.some((name) => name !== 'idle')) {
    samples.push(...(await measureThroughput(world, options, absent, progress)));
  }
  if (options.workloads.includes('idle'))
    samples.push(...(await measureIdle(world, options, absent, progress)));
  return { samples, absent };
}
