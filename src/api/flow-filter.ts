/**
 * Which flow records a caller wants: as a value, as the query of a URL, and as a predicate for the live stream.
 * It is the store's filter less what only the daemon asks, and a destination is read as the store reads it.
 */
import { SluiceError } from '../core/errors.ts';
import { DISPOSITIONS, type Disposition, type FlowRecord, type Verdict } from '../flow/record.ts';
import { DEFAULT_LIMIT, type Destination, MAX_LIMIT, parseDestination } from '../store/filter.ts';

/** What the store gives at most, and what it gives unasked. */
export const MAX_FLOW_LIMIT = MAX_LIMIT;
export const DEFAULT_FLOW_LIMIT = DEFAULT_LIMIT;

/** Longer than any host name (253), SPIFFE or policy name with a port. */
const MAX_TERM_LENGTH = 300;

export const VERDICTS: readonly Verdict[] = ['allow', 'deny', 'error'];

/** Null means any. All that are set must match. */
export interface FlowFilter {
  /** Records of flows that began then or later, milliseconds since the Unix epoch. */
  readonly sinceMs: number | null;
  readonly agent: string | null;
  /** Host name, IP address or name of a destination in the policy, each with or without `:PORT`. */
  readonly destination: string | null;
  readonly disposition: Disposition | null;
  readonly verdict: Verdict | null;
  /** The newest so many; 1 to `MAX_FLOW_LIMIT`. */
  readonly limit: number;
}

export const ANY_FLOW: FlowFilter = {
  sinceMs: null,
  agent: null,
  destination: null,
  disposition: null,
  verdict: null,
  limit: DEFAULT_FLOW_LIMIT,
};

/** Whether a record is one the filter asks for; `limit` is not its business. */
export function flowMatcher(filter: FlowFilter): (record: FlowRecord) => boolean {
  const term = filter.destination === null ? null : parseDestination(filter.destination);
  return (record) =>
    (filter.sinceMs === null || Date.parse(record.time) >= filter.sinceMs) &&
    (filter.agent === null || record.agent === filter.agent) &&
    (filter.disposition === null || record.disposition === filter.disposition) &&
    (filter.verdict === null || record.verdict === filter.verdict) &&
    (term === null || destinationMatches(term, record.dst));
}

function destinationMatches(term: Destination, dst: FlowRecord['dst']): boolean {
  if (term.port !== null && dst.port !== term.port) return false;
  if (term.host === null) return true;
  const host = term.host.toLowerCase();
  return [dst.host, dst.ip, dst.name].some((value) => value?.toLowerCase() === host);
}

/** The query of a URL for a filter; `parseFlowQuery` gives the same filter back. */
export function flowQuery(filter: FlowFilter): string {
  const query = new URLSearchParams({ limit: String(filter.limit) });
  if (filter.sinceMs !== null) query.set('since', new Date(filter.sinceMs).toISOString());
  if (filter.agent !== null) query.set('agent', filter.agent);
  if (filter.destination !== null) query.set('dest', filter.destination);
  if (filter.disposition !== null) query.set('disposition', filter.disposition);
  if (filter.verdict !== null) query.set('verdict', filter.verdict);
  return query.toString();
}

/**
 * Reads `since` (RFC 3339), `agent`, `dest`, `disposition`, `verdict` and `limit`. An unknown or repeated
 * parameter is an error: a filter that was misspelt must not answer with everything. Throws SluiceError `CONFIG`.
 */
export function parseFlowQuery(query: URLSearchParams): FlowFilter {
  const known = new Set(['since', 'agent', 'dest', 'disposition', 'verdict', 'limit']);
  for (const [name, value] of query) {
    if (!known.delete(name)) throw wrong(name, 'unknown or given twice');
    if (value === '' || value.length > MAX_TERM_LENGTH) throw wrong(name, 'empty or too long');
  }
  const since = query.get('since');
  const destination = query.get('dest');
  if (destination !== null) parseDestination(destination);
  return {
    sinceMs: since === null ? null : parseTime('since', since),
    agent: query.get('agent'),
    destination,
    disposition: oneOf('disposition', query.get('disposition'), DISPOSITIONS),
    verdict: oneOf('verdict', query.get('verdict'), VERDICTS),
    limit: parseLimit(query.get('limit') ?? String(DEFAULT_FLOW_LIMIT)),
  };
}

/** Reads a number of records. Throws SluiceError `CONFIG`. */
function parseLimit(text: string): number {
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_FLOW_LIMIT) throw wrong('limit', `not a number from 1 to ${MAX_FLOW_LIMIT}`);
  return limit;
}

/** Reads RFC 3339 (seconds and offset required), as milliseconds. Throws SluiceError `CONFIG`. */
export function parseTime(name: string, text: string): number {
  const shape = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/;
  const ms = shape.test(text) ? Date.parse(text.toUpperCase()) : Number.NaN;
  if (Number.isNaN(ms)) throw wrong(name, 'not an RFC 3339 time', '2026-01-31T12:00:00Z');
  return ms;
}

/** Null stays null. Throws SluiceError `CONFIG` for a value that is none of `allowed`. */
function oneOf<T extends string>(name: string, value: string | null, allowed: readonly T[]): T | null {
  if (value === null) return null;
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw wrong(name, 'not a known value', allowed.join(', '));
  return found;
}

function wrong(name: string, what: string, hint?: string): SluiceError {
  return new SluiceError('CONFIG', `${name}: ${what}`, hint === undefined ? {} : { hint });
}
