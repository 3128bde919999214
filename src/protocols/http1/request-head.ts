/**
 * Reads the head of an HTTP/1 request (request line and fields), to learn which server the agent asks for.
 *
 * Rules: the bytes go on as they came, so whatever two recipients could read in two ways is refused instead of
 * repaired; that covers all that RFC 9112 lets a recipient tolerate (bare LF, folded lines, stray whitespace,
 * repeated framing fields), since the server may tolerate it differently. The body is not read.
 */
import { ByteQueue } from '../../core/byte-queue.ts';
import { IncrementalReader } from '../../core/incremental-reader.ts';
import { ProtocolError } from '../../core/protocol-error.ts';
import { type Authority, parseAuthority, sameAuthority } from './authority.ts';
import { checkFraming, type Field, valuesOf } from './framing.ts';
import { isToken, MAX_LEADING_EMPTY_LINES, MAX_METHOD_LENGTH, trimWhitespace } from './grammar.ts';

export interface RequestHead {
  readonly method: string;
  /** As sent, bytes as Latin-1. */
  readonly target: string;
  readonly version: '1.0' | '1.1';
  /** Lower-case host name or IP address of the target or of `Host`; null in HTTP/1.0 when there is neither. */
  readonly host: string | null;
  /** Port written after it; null when none is. */
  readonly hostPort: number | null;
  /** Bytes of the stream the head took, empty lines before it included; the body begins there. */
  readonly byteLength: number;
}

/** Servers take 8 KiB (nginx, Apache) to 64 KiB (HAProxy's largest usual buffer): nothing real is longer. */
export const REQUEST_HEAD_MAX_BYTES = 65_536;

const CR = 0x0d;
const LF = 0x0a;

/** Visible characters and the upper half, which clients send unencoded in paths; no space, no control. */
const TARGET = /^[\x21-\x7e\x80-\xff]+$/;
/** `field-content` of RFC 9110 §5.5, in between whitespace. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const ABSOLUTE_FORM = /^http:\/\/([^/?#]*)/i;

/** Give it the agent's bytes from the first on; it returns the head once it is whole, and then always. */
export class RequestHeadReader extends IncrementalReader<RequestHead | null> {
  readonly #bytes = new ByteQueue();
  /** Bytes of the line that is being read, its CR included. */
  #lineLength = 0;
  #afterCr = false;
  #emptyLines = 0;
  #started = false;
  #head: RequestHead | null = null;

  protected override read(chunk: Uint8Array): RequestHead | null {
    if (this.#head !== null) return this.#head;
    const end = this.#findEnd(chunk);
    if (end === -1) this.#bytes.append(chunk);
    else this.#head = parseHead(this.#whole(chunk.subarray(0, end)), 2 * this.#emptyLines);
    return this.#head;
  }

  /** All bytes of the head. Most come in one piece and need no copy. */
  #whole(last: Uint8Array): Buffer {
    if (this.#bytes.length === 0) return Buffer.from(last.buffer, last.byteOffset, last.byteLength);
    this.#bytes.append(last);
    return this.#bytes.take();
  }

  /** Index after the empty line that ends the head, or -1. Line ends are judged here, each byte once. */
  #findEnd(chunk: Uint8Array): number {
    const room = REQUEST_HEAD_MAX_BYTES - this.#bytes.length;
    for (let index = 0; index < chunk.length; index += 1) {
      if (index === room) throw malformed('request head is longer than Sluice reads');
      if (this.#endsHead(chunk[index] ?? 0)) return index + 1;
    }
    return -1;
  }

  #endsHead(byte: number): boolean {
    if (this.#afterCr !== (byte === LF)) {
      throw malformed(
        this.#afterCr ? 'a carriage return that ends no line' : 'a line feed without carriage return',
      );
    }
    if (byte === 0) throw malformed('a NUL byte in the request head');
    if (byte !== LF) {
      this.#afterCr = byte === CR;
      if (!this.#afterCr) this.#started = true;
      this.#lineLength += 1;
      return false;
    }
    const empty = this.#lineLength === 1;
    this.#afterCr = false;
    this.#lineLength = 0;
    if (!empty || this.#started) return empty;
    // RFC 9112 §2.2: an empty line before the request line is overlooked; a stream of them is not.
    this.#emptyLines += 1;
    if (this.#emptyLines > MAX_LEADING_EMPTY_LINES) throw malformed('empty lines instead of a request');
    return false;
  }
}

function parseHead(bytes: Buffer, skipped: number): RequestHead {
  const [requestLine = '', ...fieldLines] = bytes.toString('latin1', skipped, bytes.length - 4).split('\r\n');
  const { method, target, version } = parseRequestLine(requestLine);
  const fields = fieldLines.map(parseField);
  checkFraming(fields, version);
  const authority = chooseAuthority(method, target, version, fields);
  return {
    method,
    target,
    version,
    host: authority?.host ?? null,
    hostPort: authority?.port ?? null,
    byteLength: bytes.length,
  };
}

/** RFC 9112 §3: three parts and a single space between them. */
function parseRequestLine(line: string): Pick<RequestHead, 'method' | 'target' | 'version'> {
  const [method = '', target = '', name = '', ...more] = line.split(' ');
  if (more.length > 0 || !isToken(method) || method.length > MAX_METHOD_LENGTH || !TARGET.test(target)) {
    throw malformed('malformed request line');
  }
  if (name !== 'HTTP/1.1' && name !== 'HTTP/1.0')
    throw malformed('a version that is not HTTP/1.0 or HTTP/1.1');
  return { method, target, version: name === 'HTTP/1.1' ? '1.1' : '1.0' };
}

/**
 * One field line (RFC 9112 §5) as [lower-case name, value]. A folded line (§5.2) and whitespace before the colon
 * (§5.1) fail by the name's grammar.
 */
function parseField(line: string): Field {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(colon, 0));
  const value = line.slice(colon + 1);
  if (!isToken(name)) throw malformed('malformed field line');
  if (!FIELD_VALUE.test(value)) throw malformed('a control character in a field value');
  return [name.toLowerCase(), trimWhitespace(value)];
}

/**
 * Which server the request is for (RFC 9112 §3.2, §3.3). An absolute-form target overrides `Host` for recipients
 * that follow §3.2.2 and not for the others: if both are there they must agree, or one connection would have two
 * names and policy would see only one of them.
 */
function chooseAuthority(
  method: string,
  target: string,
  version: '1.0' | '1.1',
  fields: readonly Field[],
): Authority | null {
  const inTarget = targetAuthority(method, target);
  const [written, another] = valuesOf(fields, 'host');
  if (another !== undefined) throw malformed('more than one Host field');
  if (written === undefined) {
    if (version === '1.1') throw malformed('no Host field in an HTTP/1.1 request');
    return inTarget;
  }
  const inField = parseAuthority(written);
  if (inField === null) throw malformed('a Host field that names no host');
  if (inTarget !== null && !sameAuthority(inTarget, inField)) {
    throw malformed('a request target and a Host field that name different servers');
  }
  return inTarget ?? inField;
}

/** The authority of an absolute-form target, null for the other forms (RFC 9112 §3.2.1 to §3.2.4). */
function targetAuthority(method: string, target: string): Authority | null {
  if (method === 'CONNECT') throw malformed('CONNECT, which asks for a tunnel through a proxy');
  if (target.startsWith('/')) return null;
  if (target === '*' && method === 'OPTIONS') return null;
  const [, text] = ABSOLUTE_FORM.exec(target) ?? [];
  if (text === undefined) throw malformed('a request target that is neither a path nor an http URL');
  const authority = parseAuthority(text);
  if (authority === null) throw malformed('a request target that names no host');
  return authority;
}

function malformed(problem: string): ProtocolError {
  return new ProtocolError('http', 'agent', `HTTP request: ${problem}`);
}
