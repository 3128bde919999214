/** Medians, and medians of ratios between neighbours, as a table. */
import { median, percentile } from '../stats.ts';
import { ACTS, type Act, CASES, type Connects, type ConnectsSample } from './measure.ts';
import type { Case } from './plane.ts';

const TITLES: Readonly<Record<Act, string>> = {
  tcp: 'One connection on loopback, both ends',
  udp: 'One datagram on loopback, both ends',
  http: 'One short HTTP request over a connection of its own, both ends',
  https: 'The same over TLS, both ends',
};

export interface ConnectsRow {
  readonly case: Case;
  /** Nanoseconds, median. */
  readonly ns: number;
  /** Over the same without anything attached, and over programs that do nothing: medians of the rounds' ratios. */
  readonly toNone: number;
  readonly toEmpty: number;
  /** Half of the rounds' ratios to `none` lie between these. */
  readonly quartiles: readonly [number, number];
}

function ratios(samples: readonly ConnectsSample[], own: Case, other: Case): number[] {
  const of = (name: Case): Map<number, number> =>
    new Map(samples.filter((sample) => sample.case === name).map(({ round, ns }) => [round, ns]));
  const others = of(other);
  return [...of(own)].flatMap(([round, ns]) => {
    const base = others.get(round);
    return base === undefined ? [] : [ns / base];
  });
}

/** One row for each case that was measured, by what was done. */
export function summarizeConnects(samples: readonly ConnectsSample[]): Map<Act, ConnectsRow[]> {
  const rowsOf = (act: Act): ConnectsRow[] => {
    const own = samples.filter((sample) => sample.act === act);
    return CASES.filter((name) => own.some((sample) => sample.case === name)).map((name) => {
      const toNone = ratios(own, name, 'none');
      return {
        case: name,
        ns: median(own.filter((sample) => sample.case === name).map(({ ns }) => ns)),
        toNone: median(toNone),
        toEmpty: median(ratios(own, name, 'empty')),
        quartiles: [percentile(toNone, 0.25), percentile(toNone, 0.75)],
      };
    });
  };
  return new Map(ACTS.map((act) => [act, rowsOf(act)]));
}

/** The first line is the heads, the first column names. */
export interface Table {
  readonly title: string;
  readonly lines: readonly (readonly string[])[];
}

const microseconds = (ns: number): string => (ns / 1000).toFixed(2);

export function connectsTables(connects: Connects | null): Table[] {
  if (connects === null) return [];
  const { samples, attestation } = connects;
  const tables = [...summarizeConnects(samples)].map(([act, rows]) => ({
    title: TITLES[act],
    lines: [
      ['', 'CPU µs', 'to none', 'quartiles', 'to empty'],
      ...rows.map((row) => [
        row.case,
        microseconds(row.ns),
        `${row.toNone.toFixed(3)}×`,
        row.quartiles.map((ratio) => ratio.toFixed(3)).join('–'),
        Number.isFinite(row.toEmpty) ? `${row.toEmpty.toFixed(3)}×` : '–',
      ]),
    ],
  }));
  const attested = [
    ['', 'CPU µs'],
    ['a process seen before', microseconds(attestation.knownNs)],
    ['a new process', microseconds(attestation.newNs)],
  ];
  return [...tables, { title: 'Attestation of a connection, in the daemon', lines: attested }];
}
