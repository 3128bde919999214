/** Flow records, where only what a test is about needs saying. */
import type { FlowRecord } from '#src/flow/record.ts';
import { completeRecord } from '#src/flowlog/complete.ts';
import type { FlowStore } from '#src/store/flow-store.ts';
import { ATTESTED, facts, flowId, report } from '#test/unit/flowlog/made.ts';

export const KEEP_ALL = { maxRows: 1_000_000, maxBytes: 2 ** 40, maxAgeMs: 2 ** 50 };

export function record(number: number, some: Partial<FlowRecord> = {}): FlowRecord {
  const id = flowId(number);
  const time = new Date(Date.UTC(2026, 0, 1) + number * 1_000).toISOString();
  const start = {
    facts: facts(id),
    time,
    agent: 'billing',
    tier: 'base',
    direction: 'outbound',
    refusal: null,
  } as const;
  return { ...completeRecord(report(id), start, ATTESTED), ...some };
}

export function records(count: number, first = 1): FlowRecord[] {
  return Array.from({ length: count }, (_, index) => record(first + index));
}

export function ids(list: readonly FlowRecord[]): string[] {
  return list.map(({ id }) => id);
}

export function append(store: FlowStore, records: readonly FlowRecord[]): void {
  for (const record of records) store.append(record, JSON.stringify(record));
}
