/**
 * Reads what an agent wants from its first bytes: protocol, and the name it gives the server.
 *
 * It never fails for being unsure: silence, an early FIN and bytes of no known protocol are all `unknown`,
 * which is for policy to judge. Only bytes that begin a protocol and then break it throw (ProtocolError).
 */
import { ProtocolError } from '../core/protocol-error.ts';
import type { FlowQuestion } from '../policy/types.ts';
import { DETECT_MAX_BYTES, type Detection, detect } from '../protocols/detect.ts';
import { type RequestHead, RequestHeadReader } from '../protocols/http1/request-head.ts';
import {
  ACCEPT_TLS,
  REFUSE_ENCRYPTION,
  type StartupEvent,
  StartupReader,
} from '../protocols/postgres/startup.ts';
import { type ClientHello, ClientHelloReader } from '../tls/client-hello.ts';
import type { AgentInput } from './agent-input.ts';

/**
 * An agent that has begun to speak may take this long to finish its first message. Not the detection
 * time-out: that one bounds how long an agent that waits for the server to speak is kept waiting.
 */
const OPENING_TIMEOUT_MS = 30_000;

export type PostgresOpening = Extract<StartupEvent, { kind: 'startup' | 'cancel' }>;

export type Recognised =
  | { readonly protocol: 'http'; readonly head: RequestHead }
  /**
   * `helloBytes`: how many of the agent's bytes the ClientHello is; the agent may have sent more behind it. `inPostgres`: it has
   * asked for TLS in PostgreSQL's words before, and been told to begin.
   */
  | {
      readonly protocol: 'tls';
      readonly hello: ClientHello;
      readonly helloBytes: number;
      readonly inPostgres: boolean;
    }
  /** `rest`: what the agent sent after its start-up packet. */
  | { readonly protocol: 'postgres'; readonly opening: PostgresOpening; readonly rest: Buffer }
  | { readonly protocol: 'unknown' };

const UNKNOWN: Recognised = { protocol: 'unknown' };
const NOTHING = Buffer.alloc(0);

/** The protocol a reader was chosen for, told before that reader can throw. */
export type Announce = (protocol: Recognised['protocol']) => void;

/** Whoever answers requests for encryption, which come before anything is said of what is wanted. */
export interface EncryptionDesk {
  /** Writes to the agent. */
  readonly reply: (bytes: Uint8Array) => void;
  /** Whether an agent that asks for TLS in PostgreSQL's words may have its own; asked when it does. */
  readonly mayHaveOwnTls: () => boolean;
}

/** @throws ProtocolError, AgentGone */
export async function recognise(
  input: AgentInput,
  detectTimeoutMs: number,
  desk: EncryptionDesk,
  announce: Announce,
): Promise<Recognised> {
  const { bytes, protocol } = await firstBytes(input, detectTimeoutMs);
  if (protocol === 'need-more' || protocol === 'unknown') return UNKNOWN;
  announce(protocol);
  switch (protocol) {
    case 'http': {
      const reader = new RequestHeadReader();
      const head = await readWhole(input, bytes, (chunk) => reader.push(chunk));
      return head === null ? UNKNOWN : { protocol, head };
    }
    case 'tls':
      return (await readHello(input, bytes, false)) ?? UNKNOWN;
    case 'postgres': {
      const reader = new StartupReader();
      const opening = await readWhole(input, bytes, (chunk) => postgresOpening(reader.push(chunk), desk));
      if (opening === 'own-tls') return await readHelloAsked(input, desk, announce);
      return opening === null ? UNKNOWN : { protocol, opening, rest: reader.rest() };
    }
  }
}

/** What policy is told. */
export function seenOf(recognised: Recognised): NonNullable<FlowQuestion['seen']> {
  const { protocol } = recognised;
  if (recognised.protocol === 'tls') {
    // Asked for in a protocol's own words, it is that protocol's.
    const inside = recognised.inPostgres ? 'postgres' : 'tls';
    return { protocol: inside, agentTls: true, name: nameOf(recognised) };
  }
  const base = { protocol, agentTls: false, name: nameOf(recognised) };
  if (recognised.protocol !== 'postgres' || recognised.opening.kind === 'cancel') return base;
  return { ...base, replication: recognised.opening.replication };
}

/** The name the agent gave the server: Host or SNI. */
export function nameOf(recognised: Recognised): string | null {
  if (recognised.protocol === 'http') return recognised.head.host;
  return recognised.protocol === 'tls' ? recognised.hello.serverName : null;
}

interface Beginning {
  readonly bytes: Buffer;
  readonly protocol: Detection;
}

/** Bytes enough to tell the protocol, or all that came. One deadline for all of them. */
async function firstBytes(input: AgentInput, timeoutMs: number): Promise<Beginning> {
  const deadline = performance.now() + timeoutMs;
  let begun: Beginning = { bytes: NOTHING, protocol: 'need-more' };
  while (begun.protocol === 'need-more' && begun.bytes.length < DETECT_MAX_BYTES) {
    const chunk = await input.next(deadline - performance.now());
    if (!(chunk instanceof Buffer)) break;
    const bytes = begun.bytes.length === 0 ? chunk : Buffer.concat([begun.bytes, chunk]);
    begun = { bytes, protocol: detect(bytes) };
  }
  return begun;
}

/** Feeds a reader until it has its value; null when the agent stops before that. The readers are bounded. */
async function readWhole<Value>(
  input: AgentInput,
  first: Buffer,
  push: (chunk: Buffer) => Value | null,
): Promise<Value | null> {
  const deadline = performance.now() + OPENING_TIMEOUT_MS;
  let value = push(first);
  while (value === null) {
    const chunk = await input.next(deadline - performance.now());
    if (!(chunk instanceof Buffer)) return null;
    value = push(chunk);
  }
  return value;
}

async function readHello(
  input: AgentInput,
  first: Buffer,
  inPostgres: boolean,
): Promise<Extract<Recognised, { protocol: 'tls' }> | null> {
  const reader = new ClientHelloReader();
  const hello = await readWhole(input, first, (chunk) => reader.push(chunk));
  return hello === null ? null : { protocol: 'tls', hello, helloBytes: reader.wireBytes, inPostgres };
}

/** Of an agent that waits for the answer to its SSLRequest. */
async function readHelloAsked(
  input: AgentInput,
  { reply }: EncryptionDesk,
  announce: Announce,
): Promise<Recognised> {
  // Nothing was read but its requests: a word more and they are refused. The server is asked anew.
  input.take();
  announce('tls');
  reply(ACCEPT_TLS);
  const recognised = await readHello(input, NOTHING, true);
  if (recognised !== null) return recognised;
  throw new ProtocolError('postgres', 'agent', 'no ClientHello came after a request for TLS');
}

/**
 * Encryption is refused to the agent's face: between it and Sluice there is only the kernel. But where policy lets its own TLS pass,
 * it may begin.
 */
function postgresOpening(
  events: readonly StartupEvent[],
  { reply, mayHaveOwnTls }: EncryptionDesk,
): PostgresOpening | 'own-tls' | null {
  for (const event of events) {
    if (event.kind === 'startup' || event.kind === 'cancel') return event;
    if (event.kind === 'ssl-request' && mayHaveOwnTls()) return 'own-tls';
    reply(REFUSE_ENCRYPTION);
  }
  return null;
}
