/**
 * How a struct of another ABI becomes that of this one: field by field, by their names, as the BTF of both says. A
 * field that has grown keeps its number, one that is new is zero, one that is no more is left out. Pure.
 */
import { SluiceError } from '../../core/errors.ts';
import type { NativeField, NativeStruct } from '../addon.ts';

export interface Move {
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
}

/** SLUICE_MOVE_BYTES and SLUICE_MOVES_MAX of bpf/api/migrate.h. */
const MOVE_BYTES = 8;
export const MOVES_MAX = 62;
const PLAN_HEAD_BYTES = 8;
const PLAN_BYTES = PLAN_HEAD_BYTES + MOVES_MAX * 8;

/** @throws SluiceError ABI_MISMATCH: what is in force cannot be taken over. */
export function notMigratable(what: string): SluiceError {
  return new SluiceError('ABI_MISMATCH', `what is in force cannot be taken over: ${what}`, {
    hint: 'run `sluice uninstall` of the version that is in force, and start this one (agents are ungoverned in between)',
  });
}

/**
 * From the former struct to the present one, in as few pieces as there are.
 *
 * @param needed fields both must have
 * @throws SluiceError ABI_MISMATCH
 */
export function movesBetween(
  what: string,
  former: NativeStruct | null,
  present: NativeStruct | null,
  needed: readonly string[] = [],
): Move[] {
  if (former === null || present === null) throw notMigratable(`the layout of ${what} is not known`);
  const before = new Map(former.fields.map((field) => [field.name, field]));
  const found: Move[] = [];
  for (const { name, offset, size } of present.fields) {
    const field = before.get(name);
    if (field !== undefined) append(found, field, offset, Math.min(size, field.size));
    else if (needed.includes(name)) throw notMigratable(`${what} had no ${name}`);
  }
  const missing = needed.filter((name) => !present.fields.some((field) => field.name === name));
  if (missing.length > 0) throw notMigratable(`${what} has no ${missing.join(', ')} any more`);
  return found;
}

/** What lies side by side in both is one move. */
function append(moves: Move[], { offset: from }: NativeField, to: number, bytes: number): void {
  const last = moves.at(-1);
  if (last !== undefined && last.from + last.bytes === from && last.to + last.bytes === to)
    moves[moves.length - 1] = { ...last, bytes: last.bytes + bytes };
  else moves.push({ from, to, bytes });
}

/** A struct as it is now, of one as it was. */
export function translate(moves: readonly Move[], former: Buffer, size: number): Buffer {
  const present = Buffer.alloc(size);
  for (const { from, to, bytes } of moves) former.copy(present, to, from, from + bytes);
  return present;
}

/** `struct sluice_plan`. @throws SluiceError ABI_MISMATCH when the kernel's programs have no room for so many moves. */
export function encodePlan(what: string, moves: readonly Move[]): Buffer {
  const pieces = moves.flatMap(({ from, to, bytes }) =>
    Array.from({ length: Math.ceil(bytes / MOVE_BYTES) }, (_, n) => ({
      from: from + n * MOVE_BYTES,
      to: to + n * MOVE_BYTES,
      bytes: Math.min(MOVE_BYTES, bytes - n * MOVE_BYTES),
    })),
  );
  if (pieces.length > MOVES_MAX) throw notMigratable(`the layout of ${what} has changed too much`);
  const bytes = Buffer.alloc(PLAN_BYTES);
  bytes.writeUInt32LE(pieces.length, 0);
  for (const [n, piece] of pieces.entries()) {
    const at = PLAN_HEAD_BYTES + n * 8;
    bytes.writeUInt16LE(piece.from, at);
    bytes.writeUInt16LE(piece.to, at + 2);
    bytes.writeUInt16LE(piece.bytes, at + 4);
  }
  return bytes;
}

/**
 * Where a counter of `sluice_counters` is now: the numbers of reasons grow, and what is counted behind them stays last.
 */
export function counterNow(former: number, formerSize: number, size: number): number {
  return former < formerSize - COUNTERS_BEHIND_REASONS ? former : former - formerSize + size;
}

/** SLUICE_COUNTER_UNTAGGED and those behind it. */
const COUNTERS_BEHIND_REASONS = 3;
