/**
 * Reads what a PostgreSQL server sends until a session is ready for questions, and changes two things in it: mechanisms
 * with channel binding are taken out of its offer, and the key to cancel with becomes one of Sluice's own.
 *
 * Why the first: a server offers SCRAM-SHA-256-PLUS because its connection has TLS; the agent's has none. It cannot bind to
 * a channel it does not see, and libpq gives up when that mechanism is offered to it in plain text. The agent
 * then says truly that it does not support channel binding (`n`, RFC 5802 §6), so the server sees no downgrade.
 *
 * Rules: what does not belong into this phase is refused; after the first ReadyForQuery, or an error, every byte passes
 * untouched. Messages that are not changed are not held, however long.
 */
import { ByteQueue } from '../../core/byte-queue.ts';
import { IncrementalReader } from '../../core/incremental-reader.ts';
import { ProtocolError } from '../../core/protocol-error.ts';
import { BACKEND_KEY_MAX_LENGTH, type CancelKey, KEY_MIN_BYTES } from './cancel-key.ts';
import { HEADER_BYTES, message } from './message.ts';

const AUTHENTICATION = 0x52; // 'R'
const BACKEND_KEY_DATA = 0x4b; // 'K'
const ERROR_RESPONSE = 0x45; // 'E'
const NOTICE_RESPONSE = 0x4e; // 'N'
const NEGOTIATE_PROTOCOL_VERSION = 0x76; // 'v'
const NOTIFICATION_RESPONSE = 0x41; // 'A'
const PARAMETER_STATUS = 0x53; // 'S'
const READY_FOR_QUERY = 0x5a; // 'Z'

const AUTH_OK = 0;
const AUTH_SASL = 10;
/**
 * Kerberos V5, clear-text and MD5 password, SCM, GSS, GSS continuation, SSPI, SASL continuation and final message
 * (protocol documentation, "Message Formats"): exchanges that pass as they are.
 */
const AUTH_OTHER: ReadonlySet<number> = new Set([2, 3, 5, 6, 7, 8, 9, 11, 12]);

/**
 * Messages that are read are held whole. libpq itself refuses them beyond 2,000 bytes; a Kerberos token for other
 * clients may have up to 64 KiB.
 */
const HELD_MAX_LENGTH = 65_536;

/**
 * Errors and notices are not held, so their bound is no matter of memory. It tells them from the errors of servers
 * that could not even start a session, which are bare text: four letters read as a length are above 2^29.
 */
const PASSED_MAX_LENGTH = 1_048_576;

/** Length and process stand before the key. */
const KEY_AT_LENGTH = 8;

/** How it goes on after a message: to read the next, hold this one, or let all pass. */
type Fate = 'hold' | 'pass' | 'last';

export interface StartFilterOptions {
  /** What the agent is told instead of this key; as many bytes. */
  readonly keyFor: (key: CancelKey) => Buffer;
}

/** Give it the server's bytes from after the TLS handshake on; it returns what the agent is to get. */
export class StartFilter extends IncrementalReader<Buffer[]> {
  readonly #keyFor: StartFilterOptions['keyFor'];
  readonly #message = new ByteQueue();
  /** Bytes of a message that are still to pass. */
  #passing = 0;
  #authenticated = false;
  #tookBinding = false;
  #done = false;

  constructor({ keyFor }: StartFilterOptions) {
    super();
    this.#keyFor = keyFor;
  }

  /** The session is ready, or refused: bytes now pass untouched, so the caller need not push them any more. */
  get done(): boolean {
    return this.#done;
  }

  /** Mechanisms with channel binding were in the offer. */
  get tookBinding(): boolean {
    return this.#tookBinding;
  }

  /** The buffers returned may be views of the chunk. */
  protected override read(chunk: Uint8Array): Buffer[] {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    const out: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) at += this.#take(bytes.subarray(at), out);
    // Each would be a write of its own, and a session starts with a dozen messages.
    return out.length > 1 ? [Buffer.concat(out)] : out;
  }

  /** Handles the first few of the bytes and says how many. */
  #take(bytes: Buffer, out: Buffer[]): number {
    if (this.#passing > 0 || this.#done) {
      const piece = this.#passing > 0 ? bytes.subarray(0, this.#passing) : bytes;
      this.#passing = Math.max(0, this.#passing - piece.length);
      out.push(piece);
      return piece.length;
    }
    const piece = bytes.subarray(0, this.#missing());
    this.#message.append(piece);
    if (this.#message.length === HEADER_BYTES) this.#takeHeader(out);
    else if (this.#message.length > HEADER_BYTES && this.#missing() === 0) {
      out.push(this.#inspect(this.#message.take()));
    }
    return piece.length;
  }

  #missing(): number {
    const held = this.#message.peek();
    return (held.length < HEADER_BYTES ? HEADER_BYTES : 1 + held.readUInt32BE(1)) - held.length;
  }

  #takeHeader(out: Buffer[]): void {
    const header = this.#message.peek();
    const length = header.readUInt32BE(1);
    const fate = this.#authenticated ? fateOfSession(header[0], length) : fateOfLogin(header[0], length);
    if (fate === 'hold') return;
    this.#passing = length - 4;
    this.#done = fate === 'last';
    out.push(this.#message.take());
  }

  #inspect(message: Buffer): Buffer {
    if (message[0] === NEGOTIATE_PROTOCOL_VERSION) return message;
    if (message[0] === BACKEND_KEY_DATA) return this.#withOwnKey(message);
    const code = message.readUInt32BE(HEADER_BYTES);
    if (code === AUTH_SASL) return this.#withoutBinding(message);
    if (code === AUTH_OK) {
      if (message.length !== HEADER_BYTES + 4) throw refused('an AuthenticationOk of invalid length');
      this.#authenticated = true;
    } else if (!AUTH_OTHER.has(code)) {
      throw refused('an unknown authentication method');
    }
    return message;
  }

  #withoutBinding(message: Buffer): Buffer {
    const offer = withoutChannelBinding(message);
    this.#tookBinding = offer !== message;
    return offer;
  }

  #withOwnKey(message: Buffer): Buffer {
    const processId = message.readUInt32BE(HEADER_BYTES);
    const key = message.subarray(HEADER_BYTES + 4);
    return Buffer.concat([message.subarray(0, HEADER_BYTES + 4), this.#keyFor({ processId, key })]);
  }
}

/** Until the agent is authenticated. */
function fateOfLogin(type: number | undefined, length: number): Fate {
  switch (type) {
    case AUTHENTICATION:
    case NEGOTIATE_PROTOCOL_VERSION:
      if (length < 8 || length > HELD_MAX_LENGTH) throw refused('a message of invalid length');
      return 'hold';
    case ERROR_RESPONSE:
    case NOTICE_RESPONSE:
      if (length > PASSED_MAX_LENGTH)
        throw refused('an error in the form of protocol 2 (no session to be had)');
      if (length < 5) throw refused('a message of invalid length');
      return type === ERROR_RESPONSE ? 'last' : 'pass';
    default:
      throw refused('a message that does not belong there');
  }
}

/** From then on until the session is ready. */
function fateOfSession(type: number | undefined, length: number): Fate {
  switch (type) {
    case BACKEND_KEY_DATA:
      if (length < KEY_AT_LENGTH + KEY_MIN_BYTES || length > BACKEND_KEY_MAX_LENGTH)
        throw refused('a key of invalid length');
      return 'hold';
    case PARAMETER_STATUS:
    case NOTICE_RESPONSE:
    case NOTIFICATION_RESPONSE:
    case ERROR_RESPONSE:
    case READY_FOR_QUERY:
      if (length < 5 || length > PASSED_MAX_LENGTH) throw refused('a message of invalid length');
      return type === ERROR_RESPONSE || type === READY_FOR_QUERY ? 'last' : 'pass';
    default:
      throw refused('a message that does not belong there');
  }
}

/** AuthenticationSASL: header, code, then the mechanisms' names, each NUL-terminated, and one NUL more. */
function withoutChannelBinding(message: Buffer): Buffer {
  const listStart = HEADER_BYTES + 4;
  const names = message.toString('latin1', listStart).split('\0');
  const mechanisms = names.slice(0, -2);
  if (names.length < 3 || names.slice(-2).some((rest) => rest !== '') || mechanisms.includes('')) {
    throw refused('a malformed list of SASL mechanisms');
  }
  // RFC 5801 §4: the name of a mechanism with channel binding ends in -PLUS, and no other does.
  const kept = mechanisms.filter((name) => !name.endsWith('-PLUS'));
  if (kept.length === mechanisms.length) return message;
  if (kept.length === 0) {
    throw new ProtocolError(
      'postgres',
      'server',
      'the server offers authentication with channel binding only, which needs TLS from end to end',
      { hint: 'let the server also offer SCRAM-SHA-256, or use a client certificate for this destination' },
    );
  }
  return authenticationSasl(kept);
}

function authenticationSasl(mechanisms: readonly string[]): Buffer {
  const list = Buffer.from(`${mechanisms.join('\0')}\0\0`, 'latin1');
  const code = Buffer.alloc(4);
  code.writeUInt32BE(AUTH_SASL);
  return message(AUTHENTICATION, code, list);
}

function refused(problem: string): ProtocolError {
  return new ProtocolError(
    'postgres',
    'server',
    `at the start of a session the PostgreSQL server sent ${problem}`,
  );
}
