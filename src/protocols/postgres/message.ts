/** How PostgreSQL's messages are framed after the start-up (protocol documentation, "Message Formats"). */

/** Type byte and length, which counts itself and not the type. */
export const HEADER_BYTES = 5;

/** A whole message. @param type its first byte */
export function message(type: number, ...content: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  const size = content.reduce((sum, { length }) => sum + length, 0);
  head.writeUInt8(type, 0);
  head.writeUInt32BE(4 + size, 1);
  return Buffer.concat([head, ...content]);
}
