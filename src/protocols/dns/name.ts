/**
 * Domain names on the wire (RFC 1035 §3.1, §4.1.4).
 *
 * A compressed name is a chain of pointers that a hostile message can tie into a loop. Each pointer must lead to
 * before the place where the piece it ends began, so the chain only ever goes back and is bounded by the message.
 */
import { type Fault, ProtocolError } from '../../core/protocol-error.ts';

/** With every length byte and the root's zero. */
export const NAME_MAX_BYTES = 255;

export interface FoundName {
  /** Uncompressed, as spelt. */
  readonly wire: Buffer;
  /** Behind the name where it stands, which is behind its first pointer. */
  readonly end: number;
}

/** @throws ProtocolError of `fault` */
export function readName(message: Buffer, start: number, fault: Fault): FoundName {
  const pieces: Buffer[] = [];
  let length = 0;
  let at = start;
  let pieceStart = start;
  let end: number | null = null;
  for (;;) {
    const label = byteAt(message, at, fault);
    if (label === 0) {
      pieces.push(message.subarray(at, at + 1));
      if (length + 1 > NAME_MAX_BYTES) throw malformed(fault, 'a name is too long');
      return { wire: Buffer.concat(pieces), end: end ?? at + 1 };
    }
    if ((label & 0xc0) === 0xc0) {
      const target = ((label & 0x3f) << 8) | byteAt(message, at + 1, fault);
      end ??= at + 2;
      if (target >= pieceStart) throw malformed(fault, 'a name points forward or at itself');
      at = target;
      pieceStart = target;
      continue;
    }
    if ((label & 0xc0) !== 0) throw malformed(fault, 'a name has a label of unknown kind');
    length += label + 1;
    if (length + 1 > NAME_MAX_BYTES) throw malformed(fault, 'a name is too long');
    byteAt(message, at + label, fault);
    pieces.push(message.subarray(at, at + label + 1));
    at += label + 1;
  }
}

function byteAt(message: Buffer, at: number, fault: Fault): number {
  const byte = message[at];
  if (byte === undefined) throw malformed(fault, 'a name is cut short');
  return byte;
}

function malformed(fault: Fault, problem: string): ProtocolError {
  return new ProtocolError('dns', fault, problem);
}

/**
 * What is equal for equal names: letters in lower case. Length bytes are below 64 and so no letters.
 */
export function nameKey(wire: Buffer): string {
  return wire.toString('latin1').replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Whether `name` is `ancestor` or below it; both are keys. */
export function isWithin(name: string, ancestor: string): boolean {
  for (let at = 0; ; at += name.charCodeAt(at) + 1) {
    if (name.length - at === ancestor.length) return name.slice(at) === ancestor;
    if (name.charCodeAt(at) === 0 || name.length - at < ancestor.length) return false;
  }
}

/** Lower-case text with dots between labels; bytes that no host name has as `\DDD` (RFC 1035 §5.1). `.` is the root. */
export function nameText(wire: Buffer): string {
  const labels: string[] = [];
  for (let at = 0; (wire[at] ?? 0) !== 0; at += (wire[at] ?? 0) + 1) {
    const label = wire.subarray(at + 1, at + 1 + (wire[at] ?? 0));
    labels.push(Array.from(label, byteText).join(''));
  }
  return labels.length === 0 ? '.' : labels.join('.');
}

function byteText(byte: number): string {
  const text = String.fromCharCode(byte);
  return /[A-Za-z0-9_-]/.test(text) ? text.toLowerCase() : `\\${String(byte).padStart(3, '0')}`;
}

/**
 * The same name with each letter in upper or lower case by a bit of `random`: an answer must repeat it, which an
 * attacker who cannot see the question has to guess as well (the "0x20" of draft-vixie-dnsext-dns0x20).
 */
export function mixCase(wire: Buffer, random: Uint8Array): Buffer {
  const mixed = Buffer.from(wire);
  for (const [at, byte] of mixed.entries()) {
    const lower = byte | 0x20;
    if (lower < 0x61 || lower > 0x7a || byte < 0x41) continue;
    const bit = ((random[at >> 3] ?? 0) >> (at & 7)) & 1;
    mixed[at] = bit === 1 ? lower & ~0x20 : lower;
  }
  return mixed;
}
