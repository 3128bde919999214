/**
 * TLS sessions as Node hands them out, made lighter.
 *
 * OpenSSL writes the server's certificate into a serialised session (ssl/ssl_asn1.c, SSL_SESSION_ASN1, field [3]) and
 * parses it, with its public key, each time the session is resumed: a seventh of what a short flow costs. In TLS 1.3
 * nobody looks at it again: a resumed handshake shows no certificate (RFC 8446 §2.2), and what the first one
 * proved is kept beside the session (proxy/resumption.ts). In TLS 1.2 OpenSSL still asks for it.
 *
 *   session = "\0nodejs:tls:session:1\0" · length of the name (2 bytes, big-endian) · name · DER SEQUENCE
 */

const PREFIX = Buffer.from('\0nodejs:tls:session:1\0', 'latin1');
const SEQUENCE = 0x30;
/** [3] EXPLICIT, constructed. */
const PEER_CERTIFICATE = 0xa3;

/** One DER element: where it begins, where its contents begin, and where it ends. */
interface Element {
  readonly tag: number;
  readonly contents: number;
  readonly end: number;
}

/**
 * The same session without its certificate; the session itself where it is not of the form above, so that another
 * runtime only loses the saving.
 */
export function withoutPeerCertificate(session: Buffer): Buffer {
  const start = derStart(session);
  const sequence = start === null ? null : readElement(session, start, session.length);
  if (start === null || sequence === null) return session;
  if (sequence.tag !== SEQUENCE || sequence.end !== session.length) return session;
  const kept: Buffer[] = [];
  for (let at = sequence.contents; at < sequence.end; ) {
    const field = readElement(session, at, sequence.end);
    if (field === null) return session;
    if (field.tag !== PEER_CERTIFICATE) kept.push(session.subarray(at, field.end));
    at = field.end;
  }
  const contents = Buffer.concat(kept);
  return Buffer.concat([session.subarray(0, start), header(SEQUENCE, contents.length), contents]);
}

function derStart(session: Buffer): number | null {
  const nameAt = PREFIX.length + 2;
  if (session.length < nameAt || session.compare(PREFIX, 0, PREFIX.length, 0, PREFIX.length) !== 0)
    return null;
  return nameAt + session.readUInt16BE(PREFIX.length);
}

/** Definite lengths of up to two bytes, which is all a session of bounded size has (X.690 §8.1.3). */
function readElement(bytes: Buffer, at: number, limit: number): Element | null {
  if (at + 2 > limit) return null;
  const tag = bytes.readUInt8(at);
  const first = bytes.readUInt8(at + 1);
  const lengthBytes = first < 0x80 ? 0 : first - 0x80;
  const contents = at + 2 + lengthBytes;
  if (first === 0x80 || lengthBytes > 2 || contents > limit) return null;
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes);
  const end = contents + length;
  return end > limit ? null : { tag, contents, end };
}

function header(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.of(tag, length);
  if (length < 0x100) return Buffer.of(tag, 0x81, length);
  return Buffer.of(tag, 0x82, length >> 8, length & 0xff);
}
