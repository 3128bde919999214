/** Ranges and multiranges in PostgreSQL's binary format (PostgreSQL source, range_send and multirange_send): what their bounds are. */

/** Types by their object ids, which never change (PostgreSQL 18, catalog/pg_range.dat): ranges and multiranges of which type. */
const BOUNDS: ReadonlyMap<number, number> = new Map([
  [3904, 23],
  [3906, 1700],
  [3908, 1114],
  [3910, 1184],
  [3912, 1082],
  [3926, 20],
  [4451, 23],
  [4532, 1700],
  [4533, 1114],
  [4534, 1184],
  [4535, 1082],
  [4536, 20],
]);

/** `RANGE_EMPTY`, and the flags by which a bound is not there (rangetypes.h). */
const EMPTY = 0x01;
const WITHOUT_LOWER = 0x08 | 0x20;
const WITHOUT_UPPER = 0x10 | 0x40;

/** The type of a range's bounds; 0: it is none of PostgreSQL's own. */
export function boundOf(typeOid: number): number {
  return BOUNDS.get(typeOid) ?? 0;
}

/** All bounds in a range or a multirange; null: it is neither. */
export function boundsIn(bytes: Buffer): readonly Buffer[] | null {
  const bounds: Buffer[] = [];
  if (takeRange(bytes, bounds)) return bounds;
  bounds.length = 0;
  if (bytes.length < 4) return null;
  let count = bytes.readUInt32BE(0);
  let at = 4;
  for (; count > 0 && at + 4 <= bytes.length; count -= 1) {
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end > bytes.length || !takeRange(bytes.subarray(at + 4, end), bounds)) return null;
    at = end;
  }
  return count === 0 && at === bytes.length ? bounds : null;
}

function takeRange(bytes: Buffer, bounds: Buffer[]): boolean {
  const flags = bytes[0];
  if (flags === undefined || flags > 0x7f) return false;
  let at = 1;
  for (const without of [WITHOUT_LOWER, WITHOUT_UPPER]) {
    if ((flags & (EMPTY | without)) !== 0) continue;
    if (at + 4 > bytes.length) return false;
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end > bytes.length) return false;
    bounds.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return at === bytes.length;
}
