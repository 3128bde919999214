/** Builds ClientHello messages and the records that carry them, right and wrong ones. */

const u8 = (value: number): Buffer => Buffer.from([value]);
export const u16 = (value: number): Buffer => Buffer.from([value >>> 8, value & 0xff]);

/** A vector: its length in `size` bytes, then its content. */
export function vector(size: 1 | 2, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([size === 1 ? u8(body.length) : u16(body.length), body]);
}

export interface HelloParts {
  readonly legacyVersion?: number;
  readonly sessionId?: Buffer;
  readonly cipherSuites?: Buffer;
  readonly compression?: Buffer;
  /** Null: the message ends before the extensions' length. */
  readonly extensions?: readonly Buffer[] | null;
  /** Bytes after everything else, inside the message. */
  readonly tail?: Buffer;
}

/** The handshake message, header included. */
export function helloMessage(parts: HelloParts = {}): Buffer {
  const extensions = parts.extensions === undefined ? [sni('example.org')] : parts.extensions;
  const body = Buffer.concat([
    u16(parts.legacyVersion ?? 0x0303),
    Buffer.alloc(32, 0x5a),
    vector(1, parts.sessionId ?? Buffer.alloc(32, 1)),
    vector(2, parts.cipherSuites ?? Buffer.from('0a0a130113021303', 'hex')),
    vector(1, parts.compression ?? u8(0)),
    extensions === null ? Buffer.alloc(0) : vector(2, ...extensions),
    parts.tail ?? Buffer.alloc(0),
  ]);
  return Buffer.concat([u8(1), u8(body.length >>> 16), u16(body.length & 0xffff), body]);
}

/** The message in handshake records of at most `fragmentBytes`. */
export function inRecords(message: Buffer, fragmentBytes = 16_384, version = 0x0301): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += fragmentBytes) {
    const fragment = message.subarray(at, at + fragmentBytes);
    records.push(u8(22), u16(version), u16(fragment.length), fragment);
  }
  return Buffer.concat(records);
}

export function extension(type: number, ...data: readonly Buffer[]): Buffer {
  return Buffer.concat([u16(type), vector(2, ...data)]);
}

/** server_name with one host_name. */
export function sni(name: string | Buffer): Buffer {
  return extension(0, vector(2, u8(0), vector(2, Buffer.from(name))));
}

export function alpn(...names: readonly (string | Buffer)[]): Buffer {
  return extension(16, vector(2, ...names.map((name) => vector(1, Buffer.from(name)))));
}

export function supportedVersions(...versions: readonly number[]): Buffer {
  return extension(43, vector(1, ...versions.map(u16)));
}

export function supportedGroups(...groups: readonly number[]): Buffer {
  return extension(10, vector(2, ...groups.map(u16)));
}

export function keyShares(...groups: readonly number[]): Buffer {
  return extension(51, vector(2, ...groups.flatMap((group) => [u16(group), vector(2, Buffer.alloc(32, 9))])));
}
