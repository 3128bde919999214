/**
 * Reads what an agent wants from its first bytes: protocol, and the name it gives the server.
 *
 * It never fails for being unsure: silence, an early FIN and bytes of no known protocol are all `unknown`,
 * which is for policy to judge. Only bytes that begin a protocol and then break it throw (ProtocolError).
 */
import type { FlowQuestion } from '../policy/types.ts';
import { DETECT_MAX_BYTES, type Detection, detect } from '../protocols/detect.ts';
import { type RequestHead, RequestHeadReader } from '../protocols/http1/request-head.ts';
import { REFUSE_ENCRYPTION, type StartupEvent, StartupReader } from '../protocols/postgres/startup.ts';
import { type ClientHello, ClientHelloReader } from '../tls/client-hello.ts';
import type { AgentInput } from './agent-input.ts';

/**
 * An agent that has begun to speak may take this long to finish its first message. Not the detection
 * time-out: that one bounds how long an agent that waits for the server to speak is kept waiting.
 */
export const OPENING_TIMEOUT_MS = 30_000;

export type PostgresOpening = Extract<StartupEvent, { kind: 'startup' | 'cancel' }>;

export type Recognised =
  | { readonly protocol: 'http'; readonly head: RequestHead }
  /** `helloBytes`: how many of the agent's bytes the ClientHello is; the agent may have sent more behind it. */
  | { readonly protocol: 'tls'; readonly hello: ClientHello; readonly helloBytes: number }
  /** `rest`: what the agent sent after its start-up packet. */
  | { readonly protocol: 'postgres'; readonly opening: PostgresOpening; readonly rest: Buffer }
  | { readonly protocol: 'unknown' };

const UNKNOWN: Recognised = { protocol: 'unknown' };
const NOTHING = Buffer.alloc(0);

/** The protocol a reader was chosen for, told before that reader can throw. */
export type Announce = (protocol: Recognised['protocol']) => void;

/**
 * @param reply writes to the agent: PostgreSQL asks for encryption before it says what it wants
 * @throws ProtocolError, AgentGone
 */
export async function recognise(
  input: AgentInput,
  detectTimeoutMs: number,
  reply: (bytes: Uint8Array) => void,
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
    case 'tls': {
      const reader = new ClientHelloReader();
      const hello = await readWhole(input, bytes, (chunk) => reader.push(chunk));
      return hello === null ? UNKNOWN : { protocol, hello, helloBytes: reader.wireBytes };
    }
    case 'postgres': {
      const reader = new StartupReader();
      const opening = await readWhole(input, bytes, (chunk) => postgresOpening(reader.push(chunk), reply));
      return opening === null ? UNKNOWN : { protocol, opening, rest: reader.rest() };
    }
  }
}

/** What policy is told. */
export function seenOf(recognised: Recognised): NonNullable<FlowQuestion['seen']> {
  const { protocol } = recognised;
  const base = { protocol, agentTls: protocol === 'tls', name: nameOf(recognised) };
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

/** Encryption is refused to the agent's face: between it and Sluice there is only the kernel. */
function postgresOpening(
  events: readonly StartupEvent[],
  reply: (bytes: Uint8Array) => void,
): PostgresOpening | null {
  for (const event of events) {
    if (event.kind === 'startup' || event.kind === 'cancel') return event;
    reply(REFUSE_ENCRYPTION);
  }
  return null;
}
