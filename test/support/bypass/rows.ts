/**
 * Every technique that is tried, with who tries it and over what. The program in test/bypass has one function for
 * each; bypass.test.ts holds that none of them is left out here.
 */
import { FAR } from '../network.ts';
import type { Family, Row, Section, Who } from './types.ts';

export const WHO: readonly Who[] = ['root', 'user'];
export const FAMILIES: readonly Family[] = ['4', '6', 'mapped'];
/** Where the options of an address are IPv4's, or IPv6's. */
const V4: readonly Family[] = ['4'];
const V6: readonly Family[] = ['6'];
const DUAL: readonly Family[] = ['4', '6'];
const ROOT: readonly Who[] = ['root'];
const USER: readonly Who[] = ['user'];

/** Numbers of linux/socket.h; each is a way out of the host that is neither IPv4 nor IPv6. */
const OTHER_FAMILIES: readonly (readonly [string, number])[] = [
  ['AF_AX25', 3],
  ['AF_APPLETALK', 5],
  ['AF_ATMPVC', 8],
  ['AF_X25', 9],
  ['AF_RDS', 21],
  ['AF_PPPOX', 24],
  ['AF_LLC', 26],
  ['AF_IB', 27],
  ['AF_CAN', 29],
  ['AF_TIPC', 30],
  ['AF_BLUETOOTH', 31],
  ['AF_RXRPC', 33],
  ['AF_PHONET', 35],
  ['AF_IEEE802154', 36],
  ['AF_CAIF', 37],
  ['AF_NFC', 39],
  ['AF_KCM', 41],
  ['AF_QIPCRTR', 42],
  ['AF_SMC', 43],
  ['AF_MCTP', 45],
];

export const SECTIONS: readonly Section[] = [
  {
    title: 'TCP',
    rows: [
      { name: 'tcp', title: 'connect()' },
      { name: 'tcp-blocking', title: 'connect() that blocks' },
      { name: 'tcp-thread', title: 'connect() in a thread' },
      { name: 'tcp-nonblocking', title: 'connect() on a non-blocking socket' },
      { name: 'tcp-reconnect', title: 'connect(AF_UNSPEC), then connect() again' },
      { name: 'tcp-listen-reconnect', title: 'listen(), connect(AF_UNSPEC), connect()' },
      { name: 'tcp-addrform', title: 'IPV6_ADDRFORM, then connect() again', families: ['mapped'] },
      { name: 'tcp-cork', title: 'TCP_CORK, data left to shutdown()' },
      { name: 'tcp-zerocopy', title: 'MSG_ZEROCOPY' },
      { name: 'tcp-splice', title: 'splice()' },
      { name: 'tfo-sendto', title: 'Fast Open by sendto()' },
      { name: 'tfo-sendmsg', title: 'Fast Open by sendmsg()' },
      { name: 'tfo-sendmmsg', title: 'Fast Open by sendmmsg()' },
      { name: 'tfo-connect', title: 'Fast Open by TCP_FASTOPEN_CONNECT' },
      { name: 'tfo-unspec', title: 'Fast Open to AF_UNSPEC' },
      { name: 'tfo-reconnect', title: 'connect(AF_UNSPEC), then Fast Open' },
      { name: 'mptcp', title: 'MPTCP' },
      { name: 'mptcp-tfo', title: 'MPTCP with Fast Open' },
    ],
  },
  {
    title: 'io_uring',
    rows: [
      { name: 'uring', title: 'socket, connect and send by requests' },
      { name: 'uring-sqpoll', title: 'the same by the kernel thread (SQPOLL)' },
      { name: 'uring-async', title: 'connect by a worker thread (IOSQE_ASYNC)' },
      { name: 'uring-seccomp', title: 'under a seccomp filter that kills at socket(2) and connect(2)' },
      { name: 'uring-tfo', title: 'Fast Open by IORING_OP_SENDMSG' },
      { name: 'uring-udp', title: 'UDP by IORING_OP_SENDMSG, SQPOLL' },
      { name: 'uring-raw', title: 'raw socket by IORING_OP_SOCKET, SQPOLL' },
      { name: 'uring-packet', title: 'AF_PACKET by IORING_OP_SOCKET, SQPOLL', families: V4 },
      { name: 'uring-setsockopt', title: 'IP_OPTIONS by SOCKET_URING_OP_SETSOCKOPT', families: V4 },
      {
        name: 'uring-shared',
        title: 'a ring shared with its owner, who is no agent, SQPOLL',
        families: DUAL,
      },
    ],
  },
  {
    title: 'Options and bindings',
    rows: [
      { name: 'so-mark', title: 'SO_MARK' },
      { name: 'bind-to-device', title: 'SO_BINDTODEVICE' },
      { name: 'bind-to-ifindex', title: 'SO_BINDTOIFINDEX' },
      { name: 'unicast-if', title: 'IP_UNICAST_IF, IPV6_UNICAST_IF' },
      { name: 'bind-source', title: 'bind() to an address of the device' },
      {
        name: 'bind-link-local',
        title: 'bind() to a link-local address, which binds to the device',
        families: V6,
      },
      {
        name: 'link-local-scope',
        title: 'connect() to a link-local address, whose scope is the device',
        families: V6,
        option: 'fe80::198:2',
      },
      { name: 'dont-route', title: 'SO_DONTROUTE' },
      { name: 'transparent', title: 'IP_TRANSPARENT, IPV6_TRANSPARENT' },
      { name: 'lsrr', title: 'loose source route (LSRR)', families: V4 },
      { name: 'ssrr', title: 'strict source route (SSRR)', families: V4 },
      { name: 'lsrr-tfo', title: 'LSRR with Fast Open', families: V4 },
      { name: 'ssrr-tfo', title: 'SSRR with Fast Open', families: V4 },
      { name: 'srh', title: 'segment routing header (SRH)', families: V6 },
      { name: 'srh-tfo', title: 'SRH with Fast Open', families: V6 },
      { name: 'routing-header', title: 'routing header, type 2', families: V6 },
      { name: 'ipsec-policy', title: 'an IPsec policy of its own (IP_XFRM_POLICY)', families: DUAL },
      { name: 'destination-options', title: 'IPV6_DSTOPTS', families: V6 },
      { name: 'tcp-repair', title: 'TCP_REPAIR' },
      { name: 'kernel-tls', title: "the kernel's own TLS (TCP_ULP)" },
    ],
  },
  {
    title: 'Datagrams',
    rows: [
      { name: 'udp', title: 'UDP by sendto()' },
      { name: 'udp-sendmmsg', title: 'UDP by sendmmsg()' },
      { name: 'udp-connected', title: 'connected UDP' },
      { name: 'udp-write', title: 'connected UDP by write()' },
      { name: 'udp-corked', title: 'connected UDP, corked' },
      { name: 'udp-splice', title: 'connected UDP by splice()' },
      { name: 'udp-segmented', title: 'UDP_SEGMENT' },
      {
        name: 'udp-reconnected',
        title: 'connected to a resolver, then elsewhere',
        families: V4,
        option: FAR.ipv4,
      },
      { name: 'udp-multicast', title: 'multicast', families: V4 },
      { name: 'udp-broadcast', title: 'broadcast', families: V4 },
      { name: 'quic', title: 'what looks like QUIC' },
      { name: 'udp-lite', title: 'UDP-Lite', families: DUAL },
      { name: 'ping', title: 'ping socket (IPPROTO_ICMP)', families: DUAL },
      { name: 'dns-source-route', title: 'to a resolver, with LSRR', families: V4, option: FAR.ipv4 },
      { name: 'dns-routed', title: 'to a resolver, with a routing header', families: V6, option: FAR.ipv6 },
      {
        name: 'dns-destination-options',
        title: 'to a resolver, with destination options',
        families: V6,
        option: FAR.ipv6,
      },
      {
        name: 'dns-hop-options',
        title: 'to a resolver, with hop-by-hop options',
        families: V6,
        option: FAR.ipv6,
      },
    ],
  },
  {
    title: 'Raw sockets and other protocols',
    rows: [
      { name: 'raw-udp', title: 'raw socket, IPPROTO_UDP', families: DUAL },
      { name: 'raw-icmp', title: 'raw socket, ICMP', families: DUAL },
      { name: 'raw-protocol', title: 'raw socket, a protocol of its own', families: DUAL },
      { name: 'hdrincl', title: 'IP_HDRINCL', families: V4 },
      { name: 'hdrincl-lying-header', title: 'IP_HDRINCL, the header says loopback', families: V4 },
      { name: 'hdrincl-lying-address', title: 'IP_HDRINCL, the address says loopback', families: V4 },
      { name: 'sctp-stream', title: 'SCTP, one to one', families: DUAL },
      { name: 'sctp-packets', title: 'SCTP, one to many', families: DUAL },
      { name: 'l2tp', title: 'L2TP over IP', families: DUAL },
    ],
  },
  {
    title: 'Below IP, and other address families',
    rows: [
      { name: 'packet-datagram', title: 'AF_PACKET, SOCK_DGRAM', families: V4 },
      { name: 'packet-raw', title: 'AF_PACKET, SOCK_RAW', families: V4 },
      { name: 'packet-qdisc-bypass', title: 'AF_PACKET with PACKET_QDISC_BYPASS', families: V4 },
      { name: 'packet-tx-ring', title: 'AF_PACKET with PACKET_TX_RING', families: V4 },
      { name: 'packet-obsolete', title: 'AF_INET with SOCK_PACKET, which becomes AF_PACKET', families: V4 },
      { name: 'xdp', title: 'AF_XDP', families: V4 },
      { name: 'tun', title: 'a TUN device and forwarding', families: V4, alone: true },
      { name: 'vsock', title: 'AF_VSOCK', families: V4 },
      ...OTHER_FAMILIES.map(
        ([name, number]): Row => ({
          name,
          title: name,
          technique: 'family',
          option: String(number),
          families: V4,
        }),
      ),
      { name: 'mount-9p', title: 'mount(2) of 9p: the kernel connects', who: ROOT, families: V4 },
      { name: 'mount-nfs', title: 'mount(2) of NFS: the kernel connects', who: ROOT, families: V4 },
      { name: 'mount-cifs', title: 'mount(2) of CIFS: the kernel connects', who: ROOT, families: V4 },
    ],
  },
  {
    title: 'Namespaces and address translation',
    rows: [
      { name: 'own-netns', title: 'own user and network namespace' },
      {
        name: 'own-netns-dnat',
        title: "own namespaces, the proxy's port translated (DNAT)",
        families: DUAL,
        option: 'PROXY-PORTS',
      },
      {
        name: 'own-netns-veth',
        title: "own network namespace with a cable into the host's, which forwards",
        who: ROOT,
        families: V4,
        alone: true,
      },
      {
        name: 'dnat',
        title: "the proxy's port translated (DNAT) in the host's namespace",
        families: DUAL,
        option: 'PROXY-PORTS',
        alone: true,
      },
      {
        name: 'mirror',
        title: "loopback's packets once more, out of the device that leads away (nft dup)",
        who: ROOT,
        families: DUAL,
        option: 'PROXY-PORTS',
        alone: true,
      },
      { name: 'other-names', title: 'own pid, time and cgroup namespaces' },
    ],
  },
  {
    title: 'Serving',
    rows: [
      { name: 'inbound', title: 'the far side connects to the agent' },
      {
        name: 'inbound-cookies',
        title: 'the same with a full queue (SYN cookies)',
        families: DUAL,
      },
      { name: 'inbound-udp', title: 'the far side sends a datagram, the agent answers' },
      {
        name: 'inherited-listener',
        title: 'the far side connects to a listener that somebody else opened',
        openedOutside: true,
      },
    ],
  },
  {
    title: 'Sockets from, and to, others',
    rows: [
      { name: 'inherited-unconnected', title: 'inherited TCP socket, not connected' },
      { name: 'inherited-connected', title: 'inherited TCP connection', openedOutside: true },
      { name: 'inherited-udp', title: 'inherited UDP socket' },
      { name: 'inherited-udp-connected', title: 'inherited UDP socket, connected' },
      { name: 'inherited-raw', title: 'inherited raw socket', families: DUAL },
      { name: 'inherited-mptcp', title: 'inherited MPTCP socket, not connected' },
      { name: 'inherited-sctp', title: 'inherited SCTP socket, not connected', families: DUAL },
      { name: 'inherited-lsrr', title: 'inherited TCP socket with LSRR, not connected', families: V4 },
      { name: 'inherited-bound', title: 'inherited TCP socket bound to a device, not connected' },
      { name: 'scm-rights-unconnected', title: 'TCP socket by SCM_RIGHTS, not connected' },
      { name: 'scm-rights-connected', title: 'TCP connection by SCM_RIGHTS', openedOutside: true },
      { name: 'scm-rights-out', title: "the agent's socket given by SCM_RIGHTS to somebody who connects it" },
      {
        name: 'pidfd-getfd',
        title: 'TCP connection by pidfd_getfd() out of a process of the same user',
        openedOutside: true,
      },
      { name: 'unix-helper', title: 'a helper outside, asked by AF_UNIX' },
    ],
  },
  {
    title: 'Being no agent',
    rows: [
      { name: 'leave-cgroup', title: 'out of the cgroup', option: 'FREE-CGROUP' },
      { name: 'leave-cgroup-exec', title: 'out of the cgroup, then exec()', option: 'FREE-CGROUP' },
      {
        name: 'leave-cgroup-clone',
        title: 'a child born in another cgroup (CLONE_INTO_CGROUP)',
        option: 'FREE-CGROUP',
      },
      { name: 'orphan', title: 'parents gone, new session' },
      { name: 'other-user', title: 'another user', who: ROOT, option: '61235' },
      {
        name: 'as-worker',
        title: "the workers' user, in the daemon's cgroup",
        who: ROOT,
        option: 'WORKER',
      },
    ],
  },
  {
    title: 'Races and storms',
    rows: [
      {
        name: 'exec-race',
        title: '1,000 processes that exec() and connect',
        alone: true,
        option: '1000',
        families: V4,
      },
      {
        name: 'fork-bomb',
        title: '500 processes at once, children of one another',
        alone: true,
        option: '500',
        families: V4,
      },
      {
        name: 'new-cgroup',
        title: 'the first instruction in a new cgroup, 200 times',
        alone: true,
        option: '200',
        families: V4,
      },
      {
        name: 'one-socket',
        title: 'one socket connected, disconnected and sent on by two threads, 5,000 times',
        // It keeps a slow machine's daemon busy for a while, and others would wait too long for their answer.
        alone: true,
        option: '5000',
        families: DUAL,
      },
      {
        name: 'storm-link-updates',
        title: 'connect() while programs are replaced 1,000 times',
        technique: 'storm',
        option: '1000',
        alone: true,
        who: USER,
        families: V4,
      },
      {
        name: 'storm-daemon-kills',
        title: 'connect() while the daemon is killed and started again 20 times',
        technique: 'storm',
        option: '20',
        alone: true,
        who: USER,
        families: V4,
      },
      {
        name: 'storm-worker-kills',
        title: 'connect() while workers are killed 50 times',
        technique: 'storm',
        option: '50',
        alone: true,
        who: USER,
        families: V4,
      },
    ],
  },
  {
    title: 'Impostors',
    rows: [
      {
        name: 'impostor-beside',
        title: "an agent listens on the proxy's port beside it",
        alone: true,
        families: DUAL,
      },
      {
        name: 'impostor-after',
        title: "somebody listens on the proxy's port when the daemon is dead",
        who: USER,
        alone: true,
        families: DUAL,
      },
      {
        name: 'second-daemon',
        title: 'another daemon with pins of its own',
        alone: true,
        who: ROOT,
        families: V4,
      },
    ],
  },
];

export const ROWS: readonly Row[] = SECTIONS.flatMap((section) => section.rows);

export const techniqueOf = (row: Row): string => row.technique ?? row.name;
