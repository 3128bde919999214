/** A flow record as a row for people. Which columns go first on a narrow terminal is decided here. */
import type { FlowRecord } from '../flow/record.ts';
import type { Column } from './table.ts';
import type { Paint } from './terminal.ts';
import { formatBytes, formatDuration, formatTime } from './units.ts';

export const FLOW_COLUMNS: readonly Column[] = [
  { title: 'STARTED', dropOrder: 1 },
  { title: 'AGENT', shrinkTo: 8 },
  { title: 'PID', align: 'right', dropOrder: 5 },
  { title: 'DESTINATION', shrinkTo: 16 },
  { title: 'PROTOCOL', dropOrder: 4 },
  { title: 'RESULT', paint: (cell) => RESULT_PAINT[cell] ?? null },
  { title: 'REASON', shrinkTo: 10, paint: (cell) => (cell === 'ok' ? null : 'yellow') },
  { title: 'SENT', align: 'right', dropOrder: 2 },
  { title: 'RECEIVED', align: 'right', dropOrder: 2 },
  { title: 'TOOK', align: 'right', dropOrder: 3 },
];

const RESULT_PAINT: Readonly<Record<string, Paint>> = { denied: 'red', error: 'red', exempt: 'yellow' };

/** For a table whose rows are not known yet. */
export const TYPICAL_FLOW_ROW: readonly string[] = [
  '2026-01-31 12:00:00',
  'billing-agent',
  '4194304',
  'database.example.org:5432',
  'postgres',
  'passthrough',
  'tls_name_mismatch',
  '1023 KiB',
  '1023 KiB',
  '999 ms',
];

/** Cells as they came: the table makes them safe for a terminal. */
export function flowRow(record: FlowRecord): string[] {
  return [
    formatTime(record.time),
    record.agent ?? '-',
    record.src.pid === null ? '-' : String(record.src.pid),
    destinationText(record.dst),
    record.protocol,
    record.verdict === 'error' ? 'error' : record.disposition,
    reasonText(record),
    formatBytes(record.bytes.agent_to_server),
    formatBytes(record.bytes.server_to_agent),
    formatDuration(record.timings.total_ms),
  ];
}

/** Inside a flow that went well something may have been denied all the same. */
function reasonText({ reason, operations, masks }: FlowRecord): string {
  // Records of earlier versions have no count of masks.
  const denied = (operations?.denied ?? 0) + (masks?.denied ?? 0);
  return denied === 0 ? reason : `${reason}, ${denied} denied`;
}

function destinationText(dst: FlowRecord['dst']): string {
  const host = dst.host ?? dst.ip ?? '?';
  const shown = host.includes(':') ? `[${host}]` : host;
  return dst.port === null ? shown : `${shown}:${dst.port}`;
}
