/** Builds packets of PostgreSQL's start-up and authentication, right and wrong ones. */

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A packet of the start-up phase: length, code, content. */
export function packet(code: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([uint32(8 + body.length), uint32(code), body]);
}

export function startupMessage(parameters: Readonly<Record<string, string>>, minor = 0): Buffer {
  const pairs = Object.entries(parameters).map(([name, value]) => Buffer.from(`${name}\0${value}\0`));
  return packet(0x00030000 + minor, ...pairs, Buffer.alloc(1));
}

export function cancelRequest(keyBytes: number): Buffer {
  return packet(80_877_102, uint32(4711), Buffer.alloc(keyBytes, 7));
}

export const GSS_REQUEST: Buffer = packet(80_877_104);

/** A message with its type: length, content. */
export function message(type: string, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from(type, 'latin1'), uint32(4 + body.length), body]);
}

export function authentication(code: number, ...content: readonly Uint8Array[]): Buffer {
  return message('R', uint32(code), ...content);
}

export function sasl(...mechanisms: readonly string[]): Buffer {
  return authentication(10, Buffer.from(`${mechanisms.map((name) => `${name}\0`).join('')}\0`));
}
