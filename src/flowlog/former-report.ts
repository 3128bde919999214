/**
 * Reports of workers that an earlier daemon has handed over, which may be of an earlier version: what has been added to reports
 * since is put in, as that version would have had it. They are checked afterwards, as all are.
 */

/** What earlier versions did not tell. */
const ADDED_COUNTERS = { operations: { held: 0, approved: 0, holds: [] }, masks: { denied: 0 } };

/** @param readKernel of the words of a kernel plane of another layout; null: it has this one's */
export function presentReport(claim: unknown, readKernel: ((hex: string) => string) | null): unknown {
  if (!isObject(claim)) return claim;
  const { kernel, report } = claim;
  const present = typeof kernel === 'string' && readKernel !== null ? readKernel(kernel) : kernel;
  return { ...claim, kernel: present, report: withCounters(report) };
}

function withCounters(report: unknown): unknown {
  if (!isObject(report)) return report;
  const added = Object.entries(ADDED_COUNTERS).flatMap(([name, counters]) => {
    const counted = report[name];
    return isObject(counted) ? [[name, { ...counters, ...counted }]] : [];
  });
  return { ...report, ...Object.fromEntries(added) };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
