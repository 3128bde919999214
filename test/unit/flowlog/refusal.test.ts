import { readFileSync } from 'node:fs';
import t from 'tap';
import { refusalText } from '#src/flowlog/refusal.ts';
import type { KernelReason, Refusal } from '#src/kernel/events.ts';
import { TECHNIQUES, type Technique } from '#src/kernel/techniques.ts';
import { event, facts, flowId } from '#test/unit/flowlog/made.ts';

const A = facts(flowId(1), { dstIp: '192.0.2.1', dstPort: 443 });
const V6 = facts(flowId(2), { dstIp: '2001:db8::1', dstPort: 0 });

function text(
  reason: KernelReason,
  technique: Technique | null,
  some: Partial<Refusal> = {},
  of = A,
): string {
  const refusal = { technique, suppressed: 0, protocol: 6, detail: 0, ...some };
  const inbound = reason === 'inbound_denied' ? { localPort: 8080, rule: 0, received: 0, sent: 0 } : null;
  return refusalText(event('denied', of, reason, 0, { refusal, inbound })) ?? '';
}

const socket = (family: number, type: number, protocol: number) => ({
  detail: (family << 24) | (type << 16) | protocol,
});

t.test('which option', async (t) => {
  t.match(text('option_denied', 'ip_options', { detail: 4 }), /^setsockopt\(SOL_IP, IP_OPTIONS\): The/);
  t.match(text('option_denied', null, { detail: (300 << 16) | 9 }), /^setsockopt\(300, 9\): /);
});

t.test('which socket', async (t) => {
  const mptcp = text('socket_denied', 'socket_mptcp', socket(10, 1, 262));
  t.match(mptcp, /^socket\(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP\): /);
  t.match(text('socket_denied', 'socket_raw', socket(2, 3, 200)), /^socket\(AF_INET, SOCK_RAW, 200\): /);
  t.match(
    text('socket_denied', 'connect', socket(2, 5, 132)),
    /^connect\(\) on socket\(AF_INET, SOCK_SEQPACKET/,
  );
});

t.test('which packet', async (t) => {
  t.match(text('egress_denied', 'packet_tcp'), /^IPPROTO_TCP to 192\.0\.2\.1:443: /);
  t.match(
    text('egress_denied', 'packet_options'),
    /^a packet with IPv4 options \(IPPROTO_TCP\) to 192\.0\.2\.1:443: /,
  );
  const icmp = text('egress_denied', 'packet_icmp', { protocol: 58, detail: 0x8000 }, V6);
  t.match(icmp, /^IPPROTO_ICMPV6 type 128 code 0 to 2001:db8::1: /);
  t.match(text('egress_denied', 'packet_protocol', { protocol: 99 }, V6), /^99 to 2001:db8::1: /);
  t.match(text('udp_denied', 'sendto', { protocol: 17 }), /^IPPROTO_UDP to 192\.0\.2\.1:443: /);
});

t.test('who asked for service, and where', async (t) => {
  const udp = text('inbound_denied', 'inbound_udp', { protocol: 17 });
  t.match(udp, /^IPPROTO_UDP from 192\.0\.2\.1:443 to port 8080: /);
  t.match(text('inbound_denied', 'bind'), /^bind\(\) to port 8080: /);
});

t.test('whose socket, and which Unix socket', async (t) => {
  t.match(
    text('foreign_socket', 'foreign_send', socket(2, 1, 6)),
    /^sending on socket\(AF_INET, SOCK_STREAM, IPPROTO_TCP\) with 192\.0\.2\.1:443: /,
  );
  t.match(
    text('foreign_socket', 'foreign_receive', socket(17, 3, 0)),
    /^being given socket\(AF_PACKET, SOCK_RAW, IPPROTO_IP\): The socket was opened/,
  );
  t.match(
    text('foreign_socket', 'foreign_connect', socket(2, 1, 132)),
    /^connect\(\) on socket\(AF_INET, SOCK_STREAM, IPPROTO_SCTP\)/,
  );
  t.match(text('foreign_socket', 'foreign_mount'), /^mount\(\) of a file system that the kernel connects: /);
  t.match(text('socket_denied', 'socket_family', socket(40, 1, 0)), /^socket\(AF_VSOCK, SOCK_STREAM/);
  const refusal = { technique: 'unix_connect', suppressed: 0, protocol: 0, detail: 9 } as const;
  const refused = event('denied', A, 'unix_denied', 0, { refusal });
  t.match(
    refusalText(refused, (id) => (id === 9 ? '/run/docker.sock' : null)),
    /^connect\(\) to \/run\/docker\.sock: The Unix socket is closed/,
  );
  t.match(refusalText(refused), /^connect\(\) to a Unix socket: /, 'one that policy no longer has');
});

t.test('what says enough has its reason alone', async (t) => {
  t.match(text('no_listener', 'connect'), /^There is no marked listener/);
  t.match(refusalText(event('undelivered', A, 'not_delivered')), /^The connection never reached/);
  t.equal(refusalText(event('open', A)), null);
});

t.test('every technique is documented', async (t) => {
  const document = readFileSync(new URL('../../../docs/flow-log.md', import.meta.url), 'utf8');
  for (const technique of Object.keys(TECHNIQUES))
    t.ok(document.includes(`\n| \`${technique}\` |`), technique);
});
