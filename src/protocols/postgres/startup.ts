/**
 * Reads what a PostgreSQL client sends before anybody is authenticated: requests for encryption, then a start-up
 * or a cancel request (protocol documentation, "Start-up", "SSL Session Encryption", "Canceling Requests").
 *
 * Rules: packets go on as they came (`raw`), so one that the server could read otherwise than we do is refused;
 * a client that talks on while it waits for the answer to its request for encryption is refused as well.
 */
import { ByteQueue } from '../../core/byte-queue.ts';
import { IncrementalReader } from '../../core/incremental-reader.ts';
import { ProtocolError } from '../../core/protocol-error.ts';
import { CANCEL_MAX_BYTES, CANCEL_MIN_BYTES } from './cancel-key.ts';
import { CANCEL_CODE, GSS_CODE, SSL_CODE, STARTUP_MAX_BYTES, STARTUP_MIN_BYTES } from './codes.ts';
import { parseStartupPacket, type StartupParameters } from './startup-packet.ts';

export type StartupEvent =
  /** To be answered, with one byte, before the next push. */
  | { readonly kind: 'ssl-request' }
  | { readonly kind: 'gss-request' }
  /** The last event there is. The server answers a cancel request by closing. */
  | { readonly kind: 'cancel'; readonly raw: Buffer }
  | ({ readonly kind: 'startup'; readonly raw: Buffer } & StartupParameters);

/** What a client sends to ask for TLS: length 8, then the code. */
export const SSL_REQUEST: Buffer = encryptionRequest(SSL_CODE);

/** The answer to a request for TLS: begin. */
export const ACCEPT_TLS: Buffer = Buffer.from('S', 'latin1');

/** The answer to both requests for encryption: not here, go on in plain text (it never leaves the host so). */
export const REFUSE_ENCRYPTION: Buffer = Buffer.from('N', 'latin1');

/** A client sends next to nothing before the server has answered its start-up; more is not kept for it. */
const REST_MAX_BYTES = 65_536;

/**
 * Judges the byte with which a server answers SSLRequest ("SSL Session Encryption"). `error` is the first byte of
 * an ErrorResponse; its text comes from a server nobody has verified yet and must not be shown (CVE-2024-10977).
 * After `accept` the next byte must be the server's TLS: bytes that came with the answer are refused by the
 * caller (CVE-2021-23222). Throws ProtocolError for any other byte.
 */
export function readSslAnswer(byte: number): 'accept' | 'refuse' | 'error' {
  if (byte === 0x53) return 'accept';
  if (byte === 0x4e) return 'refuse';
  if (byte === 0x45) return 'error';
  throw new ProtocolError('postgres', 'server', 'the server answered SSLRequest with neither S nor N');
}

/** Give it the agent's bytes from the first on. */
export class StartupReader extends IncrementalReader<StartupEvent[]> {
  readonly #packet = new ByteQueue();
  readonly #rest = new ByteQueue();
  readonly #encryptionAsked = new Set<StartupEvent['kind']>();
  /** The event after which no packet comes: what follows it is no longer read here. */
  #last: 'startup' | 'cancel' | null = null;

  /** The bytes that followed the start-up packet, once; they go to the server after it. */
  rest(): Buffer {
    return this.#rest.take();
  }

  protected override read(chunk: Uint8Array): StartupEvent[] {
    if (this.#last !== null) return this.#follow(this.#last, chunk);
    let at = 0;
    while (at < chunk.length && this.#missing() > 0) {
      const piece = chunk.subarray(at, at + this.#missing());
      this.#packet.append(piece);
      at += piece.length;
    }
    if (this.#missing() > 0) return [];
    const event = this.#finishPacket(this.#packet.take());
    this.#follow(event.kind, chunk.subarray(at));
    return [event];
  }

  /** Bytes the packet lacks; of the length field first. A length out of bounds is refused as soon as it is there. */
  #missing(): number {
    const held = this.#packet.peek();
    if (held.length < 4) return 4 - held.length;
    const length = held.readUInt32BE(0);
    if (length < STARTUP_MIN_BYTES || length > STARTUP_MAX_BYTES) throw malformed('invalid length');
    return length - held.length;
  }

  #finishPacket(raw: Buffer): StartupEvent {
    switch (raw.readUInt32BE(4)) {
      case SSL_CODE:
        return this.#encryption('ssl-request', raw);
      case GSS_CODE:
        return this.#encryption('gss-request', raw);
      case CANCEL_CODE:
        this.#last = 'cancel';
        if (raw.length < CANCEL_MIN_BYTES || raw.length > CANCEL_MAX_BYTES) {
          throw malformed('cancel request of invalid length');
        }
        return { kind: 'cancel', raw };
      default:
        this.#last = 'startup';
        return { kind: 'startup', raw, ...parseStartupPacket(raw) };
    }
  }

  /** Each kind may be asked for once, as the server has it: libpq asks for GSS, then TLS, then goes on without. */
  #encryption(kind: 'ssl-request' | 'gss-request', raw: Buffer): StartupEvent {
    if (raw.length !== STARTUP_MIN_BYTES) throw malformed('request for encryption of invalid length');
    if (this.#encryptionAsked.has(kind)) throw malformed('the same encryption asked for twice');
    this.#encryptionAsked.add(kind);
    return { kind };
  }

  /**
   * Keeps what comes after a start-up packet, for `rest()`, and refuses it after any other. Whoever sends bytes along
   * with a request for encryption did not wait for the answer: a client never does that, an attacker who wants
   * plain bytes taken for encrypted ones does (CVE-2021-23214).
   */
  #follow(kind: StartupEvent['kind'], bytes: Uint8Array): StartupEvent[] {
    if (bytes.length > 0 && kind !== 'startup') {
      throw malformed(
        kind === 'cancel' ? 'bytes after a cancel request' : 'bytes after a request for encryption',
      );
    }
    if (this.#rest.length + bytes.length > REST_MAX_BYTES) throw malformed('too many bytes after it');
    this.#rest.append(bytes);
    return [];
  }
}

function encryptionRequest(code: number): Buffer {
  const request = Buffer.alloc(8);
  request.writeUInt32BE(8, 0);
  request.writeUInt32BE(code, 4);
  return request;
}

function malformed(problem: string): ProtocolError {
  return new ProtocolError('postgres', 'agent', `PostgreSQL start-up packet: ${problem}`);
}
