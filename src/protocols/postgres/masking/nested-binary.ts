/**
 * Arrays and composites in PostgreSQL's binary format (PostgreSQL source, array_send and record_send): each element is
 * masked, and the whole is put together again with the lengths that are right then.
 */

/** An element. Undefined: as it is; null: NULL. */
export type BinaryMask = (typeOid: number, bytes: Buffer) => Uint8Array | null | undefined;

/** PostgreSQL's own (MAXDIM). */
export const DIMENSIONS_MAX = 6;
export const NULL_LENGTH = -1;

/** @returns the new bytes; null: nothing was changed; undefined: it is no array */
export function mapArray(bytes: Buffer, mask: BinaryMask): Buffer | null | undefined {
  const head = arrayHead(bytes);
  if (head === null) return undefined;
  const out = new Elements(bytes, head.bytes);
  for (let index = 0; index < head.count; index += 1)
    if (!out.element(head.elementOid, mask)) return undefined;
  const mapped = out.finish();
  if (mapped !== null && mapped !== undefined && out.hasNull) mapped.writeInt32BE(1, 4);
  return mapped;
}

/** As mapArray(). */
export function mapRecord(bytes: Buffer, mask: BinaryMask): Buffer | null | undefined {
  if (bytes.length < 4) return undefined;
  const count = bytes.readInt32BE(0);
  if (count < 0 || count > (bytes.length - 4) / 8) return undefined;
  const out = new Elements(bytes, 4);
  for (let index = 0; index < count; index += 1) {
    const typeOid = out.word();
    if (typeOid === null || !out.element(typeOid >>> 0, mask)) return undefined;
  }
  return out.finish();
}

interface ArrayHead {
  readonly bytes: number;
  readonly elementOid: number;
  readonly count: number;
}

/** Dimensions, whether there is a NULL, the elements' type, then for each dimension its size and first index. */
function arrayHead(bytes: Buffer): ArrayHead | null {
  if (bytes.length < 12) return null;
  const dimensions = bytes.readInt32BE(0);
  const flags = bytes.readInt32BE(4);
  if (dimensions < 0 || dimensions > DIMENSIONS_MAX || (flags !== 0 && flags !== 1)) return null;
  const head = 12 + 8 * dimensions;
  if (bytes.length < head) return null;
  let count = dimensions === 0 ? 0 : 1;
  for (let index = 0; index < dimensions; index += 1) count *= bytes.readInt32BE(12 + 8 * index);
  if (count < 0 || count > (bytes.length - head) / 4) return null;
  return { bytes: head, elementOid: bytes.readUInt32BE(8), count };
}

/** Reads elements one after the other, and writes only once one has changed. */
class Elements {
  hasNull = false;
  readonly #bytes: Buffer;
  readonly #out: Uint8Array[] = [];
  #at: number;
  /** Up to here everything is in `out`. */
  #written = 0;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  word(): number | null {
    if (this.#at + 4 > this.#bytes.length) return null;
    this.#at += 4;
    return this.#bytes.readInt32BE(this.#at - 4);
  }

  /** False when there is none. */
  element(typeOid: number, mask: BinaryMask): boolean {
    const length = this.word();
    if (length === null || length < NULL_LENGTH) return false;
    if (length === NULL_LENGTH) return true;
    const start = this.#at;
    if (start + length > this.#bytes.length) return false;
    this.#at += length;
    const masked = mask(typeOid, this.#bytes.subarray(start, start + length));
    if (masked === undefined) return true;
    this.hasNull ||= masked === null;
    const size = Buffer.alloc(4);
    size.writeInt32BE(masked === null ? NULL_LENGTH : masked.length);
    this.#out.push(this.#bytes.subarray(this.#written, start - 4), size);
    if (masked !== null) this.#out.push(masked);
    this.#written = this.#at;
    return true;
  }

  finish(): Buffer | null | undefined {
    if (this.#at !== this.#bytes.length) return undefined;
    if (this.#out.length === 0) return null;
    return Buffer.concat([...this.#out, this.#bytes.subarray(this.#written)]);
  }
}
