/**
 * An opener makes the server's side of a flow ready for the relay, one way for each protocol.
 *
 * Until it returns, no byte of the agent has been sent anywhere, save by the openers of flows that policy
 * carries as they are (`passthrough` sends a ClientHello, `exempt` everything).
 */
import type { Socket } from 'node:net';
import type { CompiledPolicy, Granted } from '../../policy/types.ts';
import type { AgentInput } from '../agent-input.ts';
import type { Cancellable, FlowCancels } from '../cancel-keys.ts';
import type { Recognised } from '../recognise.ts';
import type { RelayOptions } from '../relay.ts';
import type { TlsContexts } from '../tls-context.ts';
import type { SecureOptions, Upstream } from '../upstream.ts';
import { UpstreamError } from '../upstream-error.ts';

export interface Opening {
  readonly grant: Granted;
  readonly recognised: Recognised | null;
  readonly input: AgentInput;
  readonly upstream: Upstream;
  readonly contexts: TlsContexts;
  readonly limits: CompiledPolicy['limits'];
  /** Address the agent asked for. */
  readonly ip: string;
  readonly cancels: FlowCancels;
  /** The session that a request to cancel is for; null: none of this agent's. */
  readonly cancelled: Cancellable | null;
  /** It may be for one that this agent has in TLS of its own, so with the server's key. */
  readonly cancelsUnread: boolean;
  /** What the agent had resolved, where policy asked. */
  readonly dnsName: string | null;
}

export interface Opened {
  /** Paused; carries the agent's bytes from here on. */
  readonly server: Socket;
  readonly relay: RelayOptions;
}

/** @throws UpstreamError, ProtocolError, DeniedByPolicy */
export type Opener = (opening: Opening) => Promise<Opened>;

/** Connects to where the agent wanted to go, on the port policy says. */
export function connectServer({ upstream, ip, grant, limits }: Opening): Promise<Socket> {
  return upstream.connect(ip, grant.upstreamPort, limits.connectTimeoutMs);
}

/** TLS as the grant demands it. Without a name there is nothing to verify, so there is no TLS either. */
export function tlsOf({ contexts, grant, limits }: Opening, alpn: SecureOptions['alpn']): SecureOptions {
  if (grant.serverName === null) {
    throw new UpstreamError('name_required', 'there is no name to verify the server by');
  }
  return {
    contexts,
    destination: grant.destination,
    serverName: grant.serverName.name,
    alpn,
    timeoutMs: limits.handshakeTimeoutMs,
  };
}

/**
 * What the agent said so far, to be sent on. PostgreSQL's requests for encryption are not in it: they have been
 * answered here.
 */
export function agentHead({ recognised, input }: Opening): Buffer | null {
  const taken = input.take();
  if (recognised?.protocol !== 'postgres') return taken;
  const { opening, rest } = recognised;
  return rest.length === 0 ? opening.raw : Buffer.concat([opening.raw, rest]);
}
