/** DNS messages for tests, put together apart from the code that is tested. */

export function u16(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * 2);
  for (const [index, number] of numbers.entries()) bytes.writeUInt16BE(number, index * 2);
  return bytes;
}

/** `a.test` → 1 a 4 test 0. */
export function wire(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  const parts = labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label, 'latin1')]);
  return Buffer.concat([...parts, Buffer.from([0])]);
}

/** A compressed name: a pointer to `at`. */
export const pointer = (at: number): Buffer => u16(0xc000 | at);
/** Where the name of the question stands. */
export const QUESTION = 12;

export function record(owner: Buffer, type: number, data: Uint8Array, ttl = 60, klass = 1): Buffer {
  return Buffer.concat([owner, u16(type, klass, ttl >>> 16, ttl & 0xffff, data.length), data]);
}

export interface Parts {
  readonly id?: number;
  readonly flags?: number;
  readonly name?: string;
  readonly type?: number;
  readonly answers?: readonly Buffer[];
  readonly authorities?: readonly Buffer[];
  readonly additional?: readonly Buffer[];
  readonly tail?: Buffer;
}

/** A message with one question; by default an answer without records. */
export function message(parts: Parts = {}): Buffer {
  const { id = 7, flags = 0x8180, name = 'a.test', type = 1, tail = Buffer.alloc(0) } = parts;
  const sections = [parts.answers ?? [], parts.authorities ?? [], parts.additional ?? []];
  return Buffer.concat([
    u16(id, flags, 1, ...sections.map(({ length }) => length)),
    wire(name),
    u16(type, 1),
    ...sections.flat(),
    tail,
  ]);
}

export const query = (parts: Parts = {}): Buffer => message({ flags: 0x0100, ...parts });

/** EDNS of version 0. */
export function edns(size = 1232, flags = 0, options: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from([0]), u16(41, size, 0, flags, options.length), options]);
}
