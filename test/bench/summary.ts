/**
 * From samples to what people compare. A ratio is taken within each round, between runs that were neighbours in
 * time, and the median of those ratios is shown: what drifts on the machine drifts out of it.
 */
import { median } from './stats.ts';
import type { ContenderName, Sample, WorkloadName } from './types.ts';

export interface Meaning {
  readonly title: string;
  /** What one sample cost; null when there was no proxy to charge. */
  readonly cost: (sample: Sample) => number | null;
  readonly costUnit: string;
  /** What one sample achieved per second. */
  readonly rate: (sample: Sample) => number;
  readonly rateUnit: string;
}

const GIGABYTE = 1e9;
const MEGABYTE = 1e6;
const KILOBYTE = 1e3;

function cpuMicroseconds(sample: Sample): number | null {
  return sample.cpuSeconds === null ? null : (sample.cpuSeconds * 1e6) / sample.amount;
}

function perSecond(sample: Sample): number {
  return sample.amount / sample.seconds;
}

function counted(title: string, one: string): Meaning {
  return { title, cost: cpuMicroseconds, costUnit: `µs/${one}`, rate: perSecond, rateUnit: `${one}/s` };
}

function carried(title: string): Meaning {
  return {
    title,
    cost: ({ cpuSeconds, amount }) => (cpuSeconds === null ? null : cpuSeconds / (amount / GIGABYTE)),
    costUnit: 's/GB',
    rate: (sample) => perSecond(sample) / MEGABYTE,
    rateUnit: 'MB/s',
  };
}

export const MEANINGS: Readonly<Record<WorkloadName, Meaning>> = {
  bulk: carried('Bulk download'),
  'requests-16': counted('Small keep-alive requests, 16 connections', 'req'),
  'requests-64': counted('Small keep-alive requests, 64 connections', 'req'),
  connections: counted('A new connection per request, 16 at once', 'conn'),
  pgbench: counted('pgbench -S, 8 clients', 'tx'),
  'pgbench-prepared': counted('pgbench -S, 8 clients, prepared', 'tx'),
  'pgbench-1': counted('pgbench -S, 1 client', 'tx'),
  rows: carried('A long result of 100 columns'),
  idle: {
    title: 'Idle flows',
    cost: ({ residentBytes, amount }) => (residentBytes === null ? null : residentBytes / amount / KILOBYTE),
    costUnit: 'kB/flow',
    rate: perSecond,
    rateUnit: 'flow/s',
  },
};

export interface Row {
  readonly contender: ContenderName;
  readonly rounds: number;
  readonly cost: number | null;
  /** Cost over that of the base and of the naive relay; null where either has none. */
  readonly costToBase: number | null;
  readonly costToNaive: number | null;
  readonly rate: number;
  readonly rateToBase: number | null;
  readonly p50Us: number | null;
  readonly p99Us: number | null;
  /** By how much its p50 is above that of no proxy. */
  readonly addedUs: number | null;
  readonly errors: number;
}

export interface Summary {
  readonly workload: WorkloadName;
  readonly title: string;
  readonly costUnit: string;
  readonly rateUnit: string;
  /** HAProxy, or PgBouncer where HAProxy cannot take part; null when neither did. */
  readonly base: ContenderName | null;
  readonly rows: readonly Row[];
}

type Measure = (sample: Sample) => number | null;

function medianOf(samples: readonly Sample[], measure: Measure): number | null {
  const values = samples.map(measure).filter((value) => value !== null);
  return values.length === 0 ? null : median(values);
}

/** Median over the rounds both took part in of what a pair of measures comes to; null where there is no pair. */
function medianOfPairs(
  own: readonly Sample[],
  others: readonly Sample[],
  measure: Measure,
  compare: (one: number, other: number) => number,
): number | null {
  const results = own.flatMap((sample) => {
    const other = others.find(({ round }) => round === sample.round);
    const [one, two] = [measure(sample), other === undefined ? null : measure(other)];
    return one === null || two === null ? [] : [compare(one, two)];
  });
  const finite = results.filter(Number.isFinite);
  return finite.length === 0 ? null : median(finite);
}

const over = (one: number, other: number): number => one / other;
const beyond = (one: number, other: number): number => one - other;

function summarizeOne(workload: WorkloadName, samples: readonly Sample[]): Summary {
  const { title, cost, costUnit, rate, rateUnit } = MEANINGS[workload];
  const names = [...new Set(samples.map(({ contender }) => contender))];
  const base = (['haproxy', 'pgbouncer'] as const).find((name) => names.includes(name)) ?? null;
  const of = (name: ContenderName | null): Sample[] => samples.filter(({ contender }) => contender === name);
  const rows = names.map((contender): Row => {
    const own = of(contender);
    return {
      contender,
      rounds: own.length,
      cost: medianOf(own, cost),
      costToBase: medianOfPairs(own, of(base), cost, over),
      costToNaive: medianOfPairs(own, of('naive'), cost, over),
      rate: median(own.map(rate)),
      rateToBase: medianOfPairs(own, of(base), rate, over),
      p50Us: medianOf(own, ({ p50Us }) => p50Us),
      p99Us: medianOf(own, ({ p99Us }) => p99Us),
      addedUs: contender === 'direct' ? null : medianOfPairs(own, of('direct'), ({ p50Us }) => p50Us, beyond),
      errors: own.reduce((sum, { errors }) => sum + errors, 0),
    };
  });
  return { workload, title, costUnit, rateUnit, base, rows };
}

/** One summary per workload that has samples, in the order they first appear. */
export function summarize(samples: readonly Sample[]): Summary[] {
  const workloads = [...new Set(samples.map(({ workload }) => workload))];
  return workloads.map((workload) =>
    summarizeOne(
      workload,
      samples.filter((sample) => sample.workload === workload),
    ),
  );
}
