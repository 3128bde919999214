/**
 * Reads the ClientHello of an agent that speaks TLS itself: which name it asks for, and what it offers.
 *
 * Rules: the message may be cut over records and segments anywhere; all of it is understood or it is refused,
 * because a name that we fail to see and the server does not is a way around policy. The bytes are only read:
 * in passthrough they go on as they came.
 */
import { ByteQueue } from '../core/byte-queue.ts';
import { normaliseDnsName, normaliseIp } from '../core/dns-name.ts';
import { IncrementalReader } from '../core/incremental-reader.ts';
import { ProtocolError } from '../core/protocol-error.ts';
import {
  MAX_RECORD_BYTES,
  MAX_RECORD_VERSION,
  MIN_RECORD_VERSION,
  RECORD_HANDSHAKE,
  RECORD_HEADER_BYTES,
  readRecordHeader,
} from './record.ts';
import { VectorReader } from './vector-reader.ts';

/** All lists in the order offered, without GREASE values (RFC 8701), which mean nothing. */
export interface ClientHello {
  /**
   * SNI host_name, lower case, without a trailing dot. Null when there is none, and when it is an IP address:
   * RFC 6066 §3 forbids that, some clients do it all the same, and it says nothing the destination does not.
   */
  readonly serverName: string | null;
  /** ALPN protocol names (RFC 7301); one that is not printable ASCII is shown as `0x` and hex digits. */
  readonly alpn: readonly string[];
  /** `supported_versions`, or the one legacy version when that extension is absent: 0x0304 is TLS 1.3. */
  readonly versions: readonly number[];
  /** `supported_groups` (RFC 8446 §4.2.7). */
  readonly groups: readonly number[];
  /** Groups a key share was sent for (RFC 8446 §4.2.8). */
  readonly keyShareGroups: readonly number[];
  /**
   * An encrypted_client_hello extension is there (RFC 9849), or one of the drafts before it. `serverName` is then
   * the outer name and the real one is hidden; a client that only pretends (GREASE) cannot be told apart.
   */
  readonly encryptedClientHello: boolean;
}

/**
 * What one may take on the wire, record headers included. TLS allows 2^24; real ones have 200 to 2,000 bytes,
 * and up to some 20,000 with several post-quantum key shares and a session ticket with a client certificate.
 */
export const CLIENT_HELLO_MAX_BYTES = 65_536;

const HANDSHAKE_HEADER_BYTES = 4;
const CLIENT_HELLO = 1;

const EXTENSION_SERVER_NAME = 0;
const EXTENSION_SUPPORTED_GROUPS = 10;
const EXTENSION_ALPN = 16;
const EXTENSION_SUPPORTED_VERSIONS = 43;
const EXTENSION_KEY_SHARE = 51;
/** encrypted_client_hello as in the RFC (0xfe0d) and in drafts 8 to 12, and encrypted_server_name before it. */
const EXTENSIONS_ENCRYPTED_HELLO: ReadonlySet<number> = new Set([
  0xfe0d, 0xfe0c, 0xfe0b, 0xfe0a, 0xfe09, 0xfe08, 0xffce,
]);

/** Give it the agent's bytes from the first on; it returns the ClientHello once it is whole, and then always. */
export class ClientHelloReader extends IncrementalReader<ClientHello | null> {
  readonly #recordHeader = new ByteQueue();
  readonly #message = new ByteQueue();
  #recordLeft = 0;
  #received = 0;
  #hello: ClientHello | null = null;

  /** Bytes read so far, record headers included; once the ClientHello is there, its length on the wire. */
  get wireBytes(): number {
    return this.#received;
  }

  protected override read(chunk: Uint8Array): ClientHello | null {
    for (let at = 0; at < chunk.length && this.#hello === null; ) at += this.#take(chunk.subarray(at));
    return this.#hello;
  }

  /** Takes the next piece of a header or of a fragment and says how many bytes that was. */
  #take(bytes: Uint8Array): number {
    const inHeader = this.#recordLeft === 0;
    const wanted = inHeader ? RECORD_HEADER_BYTES - this.#recordHeader.length : this.#recordLeft;
    const piece = bytes.subarray(0, Math.min(wanted, CLIENT_HELLO_MAX_BYTES - this.#received));
    if (piece.length === 0) throw malformed('ClientHello is longer than Sluice reads');
    this.#received += piece.length;
    if (inHeader) this.#takeHeader(piece);
    else this.#takeFragment(piece);
    return piece.length;
  }

  #takeHeader(piece: Uint8Array): void {
    this.#recordHeader.append(piece);
    const header = readRecordHeader(this.#recordHeader.peek());
    if (header === undefined) return;
    // RFC 8446 §5.1: no other record may stand between the fragments of a handshake message, and none is empty.
    if (header.type !== RECORD_HANDSHAKE)
      throw malformed('a record that is no handshake before the ClientHello');
    if (header.version < MIN_RECORD_VERSION || header.version > MAX_RECORD_VERSION) {
      throw malformed('a record of an unknown version');
    }
    if (header.length === 0 || header.length > MAX_RECORD_BYTES)
      throw malformed('a record of invalid length');
    this.#recordLeft = header.length;
    this.#recordHeader.take();
  }

  #takeFragment(piece: Uint8Array): void {
    this.#recordLeft -= piece.length;
    this.#message.append(piece);
    const message = this.#message.peek();
    if (message.length < HANDSHAKE_HEADER_BYTES) return;
    if (message[0] !== CLIENT_HELLO) throw malformed('a handshake message that is no ClientHello');
    const end = HANDSHAKE_HEADER_BYTES + message.readUIntBE(1, 3);
    if (end > CLIENT_HELLO_MAX_BYTES) throw malformed('ClientHello is longer than Sluice reads');
    // The key may change after a ClientHello, so it must end with its record (RFC 8446 §5.1). This can be told
    // before all is here, so that the answer does not depend on how the bytes were cut.
    if (message.length + this.#recordLeft > end)
      throw malformed('a record that goes on after the ClientHello');
    if (message.length === end) this.#hello = parseClientHello(message.subarray(HANDSHAKE_HEADER_BYTES));
  }
}

/** The body of the message (RFC 8446 §4.1.2); extensions may be absent, as before TLS 1.3. */
function parseClientHello(body: Buffer): ClientHello {
  const reader = new VectorReader(body, 'ClientHello');
  const legacyVersion = reader.uint(2);
  reader.bytes(32); // random
  if (reader.vector(1, 0).length > 32) throw malformed('a session id that is too long');
  reader.nested(2, 2).uint16s(); // cipher suites: whole numbers, whatever they are
  reader.vector(1, 1); // compression methods
  const extensions = reader.atEnd ? new Map<number, Buffer>() : parseExtensions(reader.nested(2, 0));
  reader.end();
  return {
    serverName: parseServerName(extensions.get(EXTENSION_SERVER_NAME)),
    alpn: parseAlpn(extensions.get(EXTENSION_ALPN)),
    versions: parseVersions(extensions.get(EXTENSION_SUPPORTED_VERSIONS)) ?? [legacyVersion],
    groups: parseGroups(extensions.get(EXTENSION_SUPPORTED_GROUPS)),
    keyShareGroups: parseKeyShares(extensions.get(EXTENSION_KEY_SHARE)),
    encryptedClientHello: [...extensions.keys()].some((type) => EXTENSIONS_ENCRYPTED_HELLO.has(type)),
  };
}

/** RFC 8446 §4.2: a type stands at most once; two would let us and the server read different ones. */
function parseExtensions(reader: VectorReader): Map<number, Buffer> {
  const extensions = new Map<number, Buffer>();
  while (!reader.atEnd) {
    const type = reader.uint(2);
    if (extensions.has(type)) throw malformed('the same extension twice');
    extensions.set(type, reader.vector(2, 0));
  }
  return extensions;
}

/**
 * RFC 6066 §3: a list of names with at most one of each type, of which only host_name was ever defined. A name of
 * another type is refused: its form is unknown, so what follows it could not be read.
 */
function parseServerName(data: Buffer | undefined): string | null {
  if (data === undefined) return null;
  const reader = new VectorReader(data, 'server_name extension');
  const list = reader.nested(2, 1);
  reader.end();
  if (list.uint(1) !== 0) throw malformed('a server name of an unknown type');
  const name = list.vector(2, 1).toString('latin1');
  if (!list.atEnd) throw malformed('more than one server name');
  if (normaliseIp(name) !== null) return null;
  const normal = normaliseDnsName(name);
  if (normal === null) throw malformed('a server name that is no host name');
  return normal;
}

function parseAlpn(data: Buffer | undefined): string[] {
  if (data === undefined) return [];
  const reader = new VectorReader(data, 'ALPN extension');
  const list = reader.nested(2, 2);
  reader.end();
  const names: string[] = [];
  while (!list.atEnd) {
    const name = list.vector(1, 1);
    if (name.length === 2 && isGrease(name.readUInt16BE(0))) continue;
    const text = name.toString('latin1');
    names.push(/^[\x21-\x7e]+$/.test(text) ? text : `0x${name.toString('hex')}`);
  }
  return names;
}

function parseVersions(data: Buffer | undefined): number[] | undefined {
  if (data === undefined) return undefined;
  const reader = new VectorReader(data, 'supported_versions extension');
  const versions = reader.nested(1, 2).uint16s();
  reader.end();
  return withoutGrease(versions);
}

function parseGroups(data: Buffer | undefined): number[] {
  if (data === undefined) return [];
  const reader = new VectorReader(data, 'supported_groups extension');
  const groups = reader.nested(2, 2).uint16s();
  reader.end();
  return withoutGrease(groups);
}

function parseKeyShares(data: Buffer | undefined): number[] {
  if (data === undefined) return [];
  const reader = new VectorReader(data, 'key_share extension');
  const list = reader.nested(2, 0);
  reader.end();
  const groups: number[] = [];
  while (!list.atEnd) {
    groups.push(list.uint(2));
    list.vector(2, 1);
  }
  return withoutGrease(groups);
}

/** 0x0a0a, 0x1a1a, … 0xfafa: values that stand for nothing and keep servers used to the unknown (RFC 8701 §2). */
function isGrease(value: number): boolean {
  return (value & 0x0f0f) === 0x0a0a && value >>> 8 === (value & 0xff);
}

function withoutGrease(values: readonly number[]): number[] {
  return values.filter((value) => !isGrease(value));
}

function malformed(problem: string): ProtocolError {
  return new ProtocolError('tls', 'agent', `TLS: ${problem}`);
}
