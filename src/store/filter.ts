/** Which records a query wants, and the SQL for it. Values are always bound, never part of the text. */
import { isIPv6 } from 'node:net';
import { normaliseIp } from '../core/dns-name.ts';
import { SluiceError } from '../core/errors.ts';
import type { Disposition, Reason, Verdict } from '../flow/record.ts';

/** Answers are held in memory whole; at 2 KB a record this is 20 MB. */
export const MAX_LIMIT = 10_000;
export const DEFAULT_LIMIT = 100;

/** Null or absent means any; all that are set must match. */
export interface FlowFilter {
  /** Flows that began then or later, milliseconds since the epoch. */
  readonly sinceMs?: number | null;
  /** Flows that began before. */
  readonly untilMs?: number | null;
  readonly agent?: string | null;
  /** Address, host name or name of a policy destination, each with or without `:PORT`; or `:PORT`. */
  readonly destination?: string | null;
  readonly disposition?: Disposition | null;
  readonly verdict?: Verdict | null;
  readonly reason?: Reason | null;
  /** The newest so many; with `afterRowid` the first so many. */
  readonly limit?: number | null;
  /** Records stored after the one a former page ended with. */
  readonly afterRowid?: number | null;
}

export interface Destination {
  readonly host: string | null;
  readonly port: number | null;
}

/** Reads `HOST`, `HOST:PORT`, `:PORT`, `IPV6` or `[IPV6]:PORT`. Throws SluiceError `CONFIG`. */
export function parseDestination(text: string): Destination {
  if (isIPv6(text)) return { host: normaliseIp(text), port: null };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = match?.[3] === undefined ? null : Number(match[3]);
  if ((host === '' && port === null) || (port !== null && port > 65_535)) {
    throw new SluiceError('CONFIG', `not a destination: ${JSON.stringify(text)}`, {
      hint: 'HOST, HOST:PORT, :PORT or [IPV6]:PORT',
    });
  }
  return { host: host === '' ? null : (normaliseIp(host) ?? host.replace(/\.$/, '')), port };
}

export interface Where {
  /** `TRUE` or conditions joined by AND, with named parameters. */
  readonly sql: string;
  readonly parameters: Readonly<Record<string, string | number>>;
}

export function whereOf(filter: FlowFilter): Where {
  const conditions: string[] = [];
  const parameters: Record<string, string | number> = {};
  const add = (condition: string, name: string, value: string | number | null | undefined): void => {
    if (value === null || value === undefined) return;
    conditions.push(condition);
    parameters[name] = value;
  };
  const destination = filter.destination == null ? null : parseDestination(filter.destination);
  add('time_ms >= $since', 'since', filter.sinceMs);
  add('time_ms < $until', 'until', filter.untilMs);
  add('agent = $agent', 'agent', filter.agent);
  add('(dst_ip = $host OR dst_host = $host OR dst_name = $host)', 'host', destination?.host);
  add('dst_port = $port', 'port', destination?.port);
  add('disposition = $disposition', 'disposition', filter.disposition);
  add('verdict = $verdict', 'verdict', filter.verdict);
  add('reason = $reason', 'reason', filter.reason);
  add('seq > $after', 'after', filter.afterRowid);
  return { sql: conditions.length === 0 ? 'TRUE' : conditions.join(' AND '), parameters };
}

export function limitOf(filter: FlowFilter): number {
  return Math.max(1, Math.min(Math.trunc(filter.limit ?? DEFAULT_LIMIT), MAX_LIMIT));
}
