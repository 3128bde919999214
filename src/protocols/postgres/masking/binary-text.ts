/**
 * Values in PostgreSQL's binary format as the text they would be, for those types whose text may be sensitive: numbers,
 * UUIDs, addresses, dates. Only to be looked at: the text is never sent.
 */

type Reader = (bytes: Buffer) => string | null;

/** 2000-01-01, from which PostgreSQL counts days and microseconds, in Unix time. */
const EPOCH_MS = 946_684_800_000;
/** `infinity` and dates that Date does not know are no dates to look at. */
const DATE_MAX_MS = 8_640_000_000_000_000;

const sized =
  (size: number, read: (bytes: Buffer) => string | null): Reader =>
  (bytes) =>
    bytes.length === size ? read(bytes) : null;

const READERS: ReadonlyMap<number, Reader> = new Map<number, Reader>([
  [20, sized(8, (bytes) => String(bytes.readBigInt64BE()))],
  [21, sized(2, (bytes) => String(bytes.readInt16BE()))],
  [23, sized(4, (bytes) => String(bytes.readInt32BE()))],
  [26, sized(4, (bytes) => String(bytes.readUInt32BE()))],
  [28, sized(4, (bytes) => String(bytes.readUInt32BE()))],
  [29, sized(4, (bytes) => String(bytes.readUInt32BE()))],
  [700, sized(4, (bytes) => String(bytes.readFloatBE()))],
  [701, sized(8, (bytes) => String(bytes.readDoubleBE()))],
  [790, sized(8, (bytes) => cents(bytes.readBigInt64BE()))],
  [1082, sized(4, (bytes) => isoOf(bytes.readInt32BE() * 86_400_000)?.slice(0, 10) ?? null)],
  [1114, sized(8, (bytes) => timestamp(bytes))],
  [1184, sized(8, (bytes) => timestamp(bytes))],
  [1700, numeric],
  [2970, snapshot],
  [3614, lexemes],
  [5038, snapshot],
  [5069, sized(8, (bytes) => String(bytes.readBigUInt64BE()))],
  [2950, sized(16, uuid)],
  [869, address],
  [650, address],
]);

/** Null: a type whose text is not looked at, or bytes that are none of it. */
export function textOfBinary(typeOid: number, bytes: Uint8Array): string | null {
  return READERS.get(typeOid)?.(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)) ?? null;
}

export function hasTextOfBinary(typeOid: number): boolean {
  return READERS.has(typeOid);
}

function cents(amount: bigint): string {
  const digits = String(amount < 0n ? -amount : amount).padStart(3, '0');
  return `${amount < 0n ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

function isoOf(sinceEpochMs: number): string | null {
  const at = EPOCH_MS + sinceEpochMs;
  return Math.abs(at) > DATE_MAX_MS ? null : new Date(at).toISOString();
}

function timestamp(bytes: Buffer): string | null {
  return (
    isoOf(Number(bytes.readBigInt64BE() / 1000n))
      ?.replace('T', ' ')
      .slice(0, 23) ?? null
  );
}

/** Digits to the base of 10,000 (PostgreSQL source, numeric_send): count, weight of the first, sign, scale. */
function numeric(bytes: Buffer): string | null {
  if (bytes.length < 8) return null;
  const count = bytes.readUInt16BE(0);
  const weight = bytes.readInt16BE(2);
  const sign = bytes.readUInt16BE(4);
  const scale = bytes.readUInt16BE(6);
  if (bytes.length !== 8 + 2 * count || (sign !== 0 && sign !== 0x4000)) return null;
  const digit = (index: number): string =>
    String(index >= 0 && index < count ? bytes.readUInt16BE(8 + 2 * index) : 0).padStart(4, '0');
  let whole = '';
  for (let index = 0; index <= weight; index += 1) whole += digit(index);
  let fraction = '';
  for (let index = weight + 1; fraction.length < scale; index += 1) fraction += digit(index);
  const text = whole.replace(/^0+(?=\d)/, '') || '0';
  return `${sign === 0 ? '' : '-'}${text}${scale === 0 ? '' : `.${fraction.slice(0, scale)}`}`;
}

/** A count, then each with its NUL, how many places it has, and those (PostgreSQL source, tsvectorsend). */
function lexemes(bytes: Buffer): string | null {
  const texts: string[] = [];
  let at = 4;
  while (at < bytes.length) {
    const end = bytes.indexOf(0, at);
    if (end === -1 || end + 3 > bytes.length) return null;
    texts.push(bytes.toString('latin1', at, end));
    at = end + 3 + 2 * bytes.readUInt16BE(end + 1);
  }
  return texts.join('\n');
}

/** How many transactions are in it, then the first, the last, and those (PostgreSQL source, pg_snapshot_send). */
function snapshot(bytes: Buffer): string | null {
  if (bytes.length < 20 || bytes.length % 8 !== 4) return null;
  const numbers: string[] = [];
  for (let at = 4; at < bytes.length; at += 8) numbers.push(String(bytes.readBigUInt64BE(at)));
  return numbers.join(':');
}

function uuid(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** Family, bits, whether it is a cidr, how many bytes of address (PostgreSQL source, network_send). */
function address(bytes: Buffer): string | null {
  if (bytes.length === 8 && bytes[0] === 2) return bytes.subarray(4).join('.');
  if (bytes.length !== 20 || bytes[0] !== 3) return null;
  return bytes
    .subarray(4)
    .toString('hex')
    .replace(/(.{4})(?=.)/g, '$1:');
}
