/**
 * Every reason in one sentence: the `detail` of records nobody could say more about, and the text of
 * docs/flow-log.md (a test holds the two together).
 */
import type { Reason } from '../flow/record.ts';

export const REASON_TEXT: Readonly<Record<Reason, string>> = {
  ok: 'It ran and was closed by either end in good order.',
  no_listener:
    'There is no marked listener of Sluice in that network namespace: the daemon is down, or has refused the namespace.',
  proxy_direct: "The agent asked for the proxy's own address, or to listen there.",
  udp_denied: 'Agents may not send UDP other than DNS, and none where policy names no resolvers.',
  socket_denied: 'Agents may not have a socket of this type (raw, SCTP, UDP-Lite, ping, MPTCP, …).',
  option_denied: 'The socket option could have led the connection around the proxy.',
  egress_denied: 'A packet was about to leave by another way than the proxy.',
  not_delivered:
    'The connection never reached the proxy: no port, no memory, its queue full, or given up by the agent.',
  state_lost: 'The kernel could not save the original destination.',
  inbound_denied: 'No inbound rule of the policy lets the agent serve there.',
  foreign_socket:
    'The socket was opened by somebody who is no agent, or by the kernel; agents may not use it.',
  unix_denied: 'The Unix socket is closed to agents: who listens there could go out in their place.',
  not_an_agent: 'A process that is no agent connected to the proxy.',
  policy_denied: 'A deny rule of the policy matched.',
  no_rule: 'No rule of the policy allows it.',
  undetected: 'Policy needs to know the protocol, and it was not recognised in time.',
  agent_tls_denied: 'The agent speaks TLS itself, and no rule lets that pass through.',
  replication_denied: 'The agent asks a PostgreSQL server for replication, and no rule allows that.',
  cancel_denied: 'The agent asked to cancel a PostgreSQL query of a session that it does not have there.',
  protocol_error: "The agent's or the server's bytes broke the protocol.",
  name_required: 'There is no server name to verify: neither policy, the protocol nor DNS gave one.',
  overloaded: 'The worker was at its limit of flows or descriptors.',
  connect_refused: 'The server refused the connection.',
  connect_timeout: 'The server did not answer the connection in time.',
  connect_unreachable: 'There is no way to the server.',
  connect_failed: 'The connection to the server failed in another way.',
  tls_not_offered: 'The server does not speak TLS.',
  tls_certificate_expired: "The server's certificate has expired.",
  tls_certificate_not_yet_valid: "The server's certificate is not valid yet.",
  tls_self_signed: "The server's certificate is signed by itself and not trusted.",
  tls_unknown_ca: "The server's certificate is signed by a CA that is not trusted.",
  tls_name_mismatch: "The server's certificate is for another name.",
  tls_certificate_invalid: "The server's certificate could not be verified for another reason.",
  tls_client_certificate_required:
    'The server wants a client certificate and policy gives none that it takes.',
  tls_handshake_failed: 'The TLS handshake with the server failed in another way.',
  tls_handshake_timeout: 'The TLS handshake with the server did not end in time.',
  tls_handshake_reset: 'The server broke the connection off during the TLS handshake.',
  agent_reset: 'The agent broke the connection off.',
  server_reset: 'The server broke the connection off.',
  idle_timeout: 'Nothing was sent in either direction for too long.',
  dns_failed: 'No resolver gave an answer that could be believed.',
  drain_timeout: 'Its worker was replaced, and it did not end within the drain time-out.',
  worker_died: 'The worker that carried it died.',
  daemon_died: 'The daemon stopped or died while it was open.',
  lost: 'It was closed and its worker never reported it.',
  internal_error: 'Sluice made a mistake; the log of the daemon says more.',
};
