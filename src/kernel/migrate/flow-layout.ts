/**
 * Workers of an earlier daemon tell what the kernel said of a flow as it came to them, and that may have been another
 * ABI: so the layout goes with them from daemon to daemon.
 */
import type { NativeStruct } from '../addon.ts';
import { layout } from '../layout.ts';
import { movesBetween, translate } from './plan.ts';

/** Offsets of the fields of `struct sluice_flow`, which has no room between them, and its size. Bytes. */
export interface FlowLayout {
  readonly size: number;
  readonly fields: Readonly<Record<string, number>>;
}

export const presentFlowLayout: FlowLayout = layout.sluice_flow;

function structOf({ size, fields }: FlowLayout): NativeStruct {
  const inOrder = Object.entries(fields).sort(([, a], [, b]) => a - b);
  return {
    size,
    fields: inOrder.map(([name, offset], n) => ({
      name,
      offset,
      size: (inOrder[n + 1]?.[1] ?? size) - offset,
    })),
  };
}

/**
 * A reader of flows in hex that gives them in hex, as this version lays them out. What is none comes back as it is, and
 * is then refused like anything else a worker makes up.
 */
export function flowReader(former: FlowLayout): (text: string) => string {
  const present = structOf(presentFlowLayout);
  if (JSON.stringify(structOf(former)) === JSON.stringify(present)) return (text) => text;
  const moves = movesBetween('a flow', structOf(former), present);
  const valid = new RegExp(`^[0-9a-f]{${former.size * 2}}$`);
  return (text) =>
    valid.test(text) ? translate(moves, Buffer.from(text, 'hex'), present.size).toString('hex') : text;
}
