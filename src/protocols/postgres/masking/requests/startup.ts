/**
 * Masks what a start-up packet says besides who asks for what: application_name, options and other settings. User and database are
 * names the session cannot do without, and stay.
 */
import type { Masker } from '../../../../mask/masker.ts';
import type { OnHits } from '../cell.ts';

/** Length and version. */
const HEAD_BYTES = 8;
const KEPT: ReadonlySet<string> = new Set(['user', 'database', 'replication']);
const NUL = Buffer.alloc(1);

/** @param raw a whole packet that has been read (startup-packet.ts). @returns the same packet where nothing was changed */
export function maskStartup(raw: Buffer, masker: Masker, onHits: OnHits): Buffer {
  const parts: Uint8Array[] = [];
  let changed = false;
  for (let at = HEAD_BYTES; at < raw.length - 1; ) {
    const nameEnd = raw.indexOf(0, at);
    const valueEnd = raw.indexOf(0, nameEnd + 1);
    if (nameEnd === -1 || valueEnd === -1) break;
    const name = raw.subarray(at, nameEnd);
    const value = raw.subarray(nameEnd + 1, valueEnd);
    at = valueEnd + 1;
    const masked = KEPT.has(name.toString('latin1')) ? null : masker.value(value);
    if (masked !== null) onHits(masked.hits);
    const now = masked === null ? value : masked.bytes;
    changed ||= now === null || !value.equals(now);
    // Without a value there is no setting.
    if (now !== null) parts.push(name, NUL, now, NUL);
  }
  if (!changed) return raw;
  const packet = Buffer.concat([raw.subarray(0, HEAD_BYTES), ...parts, NUL]);
  packet.writeUInt32BE(packet.length, 0);
  return packet;
}
