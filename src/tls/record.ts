/**
 * The TLS record header: five bytes, type, version, length (RFC 8446 §5.1).
 */
export const RECORD_HEADER_BYTES = 5;
const RECORD_ALERT = 21;
export const RECORD_HANDSHAKE = 22;

/**
 * SSL 3.0 to TLS 1.3. The field is frozen: TLS 1.3 writes 0x0301 or 0x0303 and tells its real version inside,
 * so a range says only that this is the protocol family, not that the version is one we would speak.
 */
export const MIN_RECORD_VERSION = 0x0300;
export const MAX_RECORD_VERSION = 0x0304;

/** 2^14: the longest fragment of a plaintext record, which all of a ClientHello and a first answer are. */
export const MAX_RECORD_BYTES = 16_384;

/** Level and description (RFC 8446 §6); unencrypted alerts are never anything else. */
const ALERT_BYTES = 2;

export interface RecordHeader {
  readonly type: number;
  readonly version: number;
  /** Bytes that follow the header. */
  readonly length: number;
}

/** The header in the first five bytes; undefined when there are fewer. It is not judged here. */
export function readRecordHeader(bytes: Uint8Array): RecordHeader | undefined {
  const [type, major, minor, high, low] = bytes;
  if (type === undefined || major === undefined || minor === undefined) return undefined;
  if (high === undefined || low === undefined) return undefined;
  return { type, version: (major << 8) | minor, length: (high << 8) | low };
}

/**
 * Whether the first bytes a server sends can be its answer to a ClientHello: a handshake record or an alert.
 *
 * Anything else is a server that does not speak TLS. Its bytes must not reach the agent, which would take them
 * for what it asked. Says `not-tls` at the first byte that tells, so that a server which then waits is no hang.
 */
export function isServerFirstRecord(bytes: Uint8Array): 'need-more' | 'tls' | 'not-tls' {
  const [type, major, minor] = bytes;
  if (type === undefined) return 'need-more';
  if (type !== RECORD_HANDSHAKE && type !== RECORD_ALERT) return 'not-tls';
  if (major !== undefined && major !== MIN_RECORD_VERSION >>> 8) return 'not-tls';
  if (minor !== undefined && minor > (MAX_RECORD_VERSION & 0xff)) return 'not-tls';
  const header = readRecordHeader(bytes);
  if (header === undefined) return 'need-more';
  const plausible =
    header.type === RECORD_ALERT
      ? header.length === ALERT_BYTES
      : header.length > 0 && header.length <= MAX_RECORD_BYTES;
  return plausible ? 'tls' : 'not-tls';
}
