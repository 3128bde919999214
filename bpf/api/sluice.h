/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What the kernel programs and userspace share: structs, limits and numbers.
 *
 * Rules: fixed-width fields, explicit padding, no pointers; a number once given is never reused.
 * src/kernel/layout.ts decodes these structs; test/bpf/layout.test.ts compares it with the BTF of the
 * compiled objects. Any change of layout or meaning raises SLUICE_ABI.
 */
#ifndef SLUICE_API_H
#define SLUICE_API_H

#include <linux/types.h>

#define SLUICE_ABI 6

/* Private socket option by which a worker reads the flow of an accepted socket; "SL" and outside every level
 * and option the kernel knows. */
#define SLUICE_SOL 0x534c
#define SLUICE_SO_FLOW 1

/* Private level by which the forwarder reads whose a DNS datagram is: the option's name is the ticket the
 * datagram came with. A ticket is the low half of the datagram's flow id with the top bit set, and good for
 * one reading. */
#define SLUICE_SOL_DATAGRAM 0x534d
#define SLUICE_TICKET 0x80000000u

/* Longest cgroup directory name (NAME_MAX) with its NUL, and the deepest path enrolment can name. */
#define SLUICE_NAME_MAX 256
#define SLUICE_ROOT_DEPTH 16 /* levels above the root of a daemon in a cgroup namespace */
#define SLUICE_PATH_DEPTH 16

/* Longest executable path remembered; longer ones are left to userspace. */
#define SLUICE_EXE_PATH_MAX 512

enum sluice_event_kind {
  SLUICE_EVENT_OPEN = 1,        /* connect() was taken in and redirected */
  SLUICE_EVENT_DENIED = 2,      /* refused in the kernel; `reason` says why */
  SLUICE_EVENT_UNDELIVERED = 3, /* redirected, but never reached a worker */
  SLUICE_EVENT_CLOSED = 4,      /* the worker's end of the connection is closed */
  SLUICE_EVENT_SERVED = 5,      /* a connection an agent accepted, by an inbound rule, is closed */
};

enum sluice_reason {
  SLUICE_REASON_NONE = 0,
  SLUICE_REASON_NO_LISTENER = 1,  /* no marked listener in this network namespace */
  SLUICE_REASON_PROXY_DIRECT = 2, /* the agent asked for the proxy itself, or for its port */
  SLUICE_REASON_UDP = 3,          /* datagram that is no DNS */
  SLUICE_REASON_SOCKET = 4,       /* socket type or protocol agents may not have */
  SLUICE_REASON_OPTION = 5,       /* socket option that could route around the proxy */
  SLUICE_REASON_EGRESS = 6,       /* packet about to leave by another way than the proxy */
  SLUICE_REASON_NOT_DELIVERED = 7,
  SLUICE_REASON_STATE_LOST = 8, /* the original destination could not be saved */
  SLUICE_REASON_INBOUND = 9,    /* somebody asked an agent for service, or an agent set out to serve */
  SLUICE_REASON_FOREIGN = 10,   /* a socket of somebody who is no agent, used by an agent */
  SLUICE_REASON_UNIX = 11,      /* a Unix socket that policy closes to agents */
  SLUICE_REASON_MAX = 12,
};

/* What an agent, or somebody who wanted to be served by one, tried when it was refused: finer than the
 * reason. Refusals are counted by agent and technique. */
enum sluice_technique {
  SLUICE_TECHNIQUE_NONE = 0,
  SLUICE_TECHNIQUE_CONNECT = 1, /* connect() that was not taken in */
  SLUICE_TECHNIQUE_SENDTO = 2,  /* a datagram with an address */

  /* socket() */
  SLUICE_TECHNIQUE_SOCKET_RAW = 10,
  SLUICE_TECHNIQUE_SOCKET_PING = 11,
  SLUICE_TECHNIQUE_SOCKET_UDPLITE = 12,
  SLUICE_TECHNIQUE_SOCKET_SCTP = 13,
  SLUICE_TECHNIQUE_SOCKET_MPTCP = 14,
  SLUICE_TECHNIQUE_SOCKET_DCCP = 15,
  SLUICE_TECHNIQUE_SOCKET_OTHER = 16,
  SLUICE_TECHNIQUE_SOCKET_STATE = 17,  /* one agents may have, but there was no room for its state */
  SLUICE_TECHNIQUE_SOCKET_FAMILY = 18, /* an address family agents may not have */

  /* setsockopt() */
  SLUICE_TECHNIQUE_SO_BINDTODEVICE = 30,
  SLUICE_TECHNIQUE_SO_BINDTOIFINDEX = 31,
  SLUICE_TECHNIQUE_IP_HDRINCL = 32,
  SLUICE_TECHNIQUE_IP_OPTIONS = 33,
  SLUICE_TECHNIQUE_IP_TRANSPARENT = 34,
  SLUICE_TECHNIQUE_IPV6_2292PKTOPTIONS = 35,
  SLUICE_TECHNIQUE_IPV6_HOPOPTS = 36,
  SLUICE_TECHNIQUE_IPV6_RTHDRDSTOPTS = 37,
  SLUICE_TECHNIQUE_IPV6_RTHDR = 38,
  SLUICE_TECHNIQUE_IPV6_DSTOPTS = 39,
  SLUICE_TECHNIQUE_IPV6_TRANSPARENT = 40,
  SLUICE_TECHNIQUE_TCP_REPAIR = 41,
  SLUICE_TECHNIQUE_IP_IPSEC_POLICY = 42,
  SLUICE_TECHNIQUE_IP_XFRM_POLICY = 43,
  SLUICE_TECHNIQUE_IPV6_IPSEC_POLICY = 44,
  SLUICE_TECHNIQUE_IPV6_XFRM_POLICY = 45,

  /* A packet on its way out. The first that applies, in this order. */
  SLUICE_TECHNIQUE_PACKET_MALFORMED = 60, /* neither IPv4 nor IPv6, or its headers end too early */
  SLUICE_TECHNIQUE_PACKET_OPTIONS = 61,   /* IPv4 options */
  SLUICE_TECHNIQUE_PACKET_EXTENSION = 62, /* IPv6 extension header */
  SLUICE_TECHNIQUE_PACKET_FRAGMENT = 63,
  SLUICE_TECHNIQUE_PACKET_TCP = 64, /* no connection that was taken in or may be served */
  SLUICE_TECHNIQUE_PACKET_UDP = 65,
  SLUICE_TECHNIQUE_PACKET_ICMP = 66,
  SLUICE_TECHNIQUE_PACKET_PROTOCOL = 67, /* any other: SCTP, GRE, ESP, IP in IP, unknown ones */

  /* Service to others */
  SLUICE_TECHNIQUE_BIND = 80,        /* bind() to a port no inbound rule names */
  SLUICE_TECHNIQUE_INBOUND_TCP = 81, /* a connection to an agent's listening socket */
  SLUICE_TECHNIQUE_INBOUND_UDP = 82, /* a datagram to an agent's socket */

  /* Sockets of somebody who is no agent, or of the kernel */
  SLUICE_TECHNIQUE_FOREIGN_SEND = 90,    /* sending on one */
  SLUICE_TECHNIQUE_FOREIGN_ACCEPT = 91,  /* accepting from one */
  SLUICE_TECHNIQUE_FOREIGN_RECEIVE = 92, /* being given one, by SCM_RIGHTS or pidfd_getfd() */
  SLUICE_TECHNIQUE_FOREIGN_CONNECT = 93, /* connect() on one that is neither TCP nor UDP */
  SLUICE_TECHNIQUE_FOREIGN_MOUNT = 94,   /* a file system whose connections the kernel makes */

  /* Unix sockets that are closed to agents */
  SLUICE_TECHNIQUE_UNIX_CONNECT = 100,
  SLUICE_TECHNIQUE_UNIX_SEND = 101, /* a datagram to one, or anything on a connection that was there before */
  SLUICE_TECHNIQUE_UNIX_RECEIVE = 102, /* being given a connection to one */
};

/* One connection, as seen in the context of the process that made it. Times are CLOCK_BOOTTIME. */
struct sluice_flow {
  __u64 id;
  __u64 start_ns;
  __u64 netns_cookie;
  __u64 cgroup_id;     /* cgroup v2 */
  __u64 task_start_ns; /* of the thread group leader */
  __u64 exe_ino;
  __u32 exe_dev; /* kernel dev_t: major << 20 | minor */
  __u32 pid;     /* thread group id in the initial pid namespace */
  __u32 uid;
  __u32 gid;
  __u32 agent;      /* id of the agent in the policy; never 0 */
  __u32 generation; /* of the enrolment tables that named it */
  __u8 daddr[16];   /* original destination; v4 in v4-mapped form */
  __u16 dport;      /* host byte order */
  __u8 family;      /* of the agent's socket: 4 or 6 */
  __u8 protocol;    /* IPPROTO_* */
  /* Refused option: level << 16 | option. Refused socket, and connect(): family << 24 | type << 16 |
   * protocol, and so for a foreign socket. Refused ICMP packet: type << 8 | code. Served: id of the inbound
   * rule. Unix socket: id of the path policy closes. */
  __u32 detail;
};

struct sluice_event {
  __u16 kind;
  __u16 reason;
  __u16 technique;  /* of a refusal */
  __u16 local_port; /* of service to others, host byte order; daddr and dport are then the other end's */
  __u64 time_ns;
  __u64 suppressed; /* refusals of this agent and technique not told since the last that was */
  __u64 received;   /* bytes of a served connection */
  __u64 sent;       /* and those of them the other end has acknowledged */
  struct sluice_flow flow;
};

/* Exact counts of refusals. */
struct sluice_denied_key {
  __u32 agent;
  __u32 technique;
};

/* How much was told lately of one process's refusals by one technique; `pid` 0: of the whole agent's. */
struct sluice_told_key {
  __u32 agent;
  __u32 pid;
  __u32 technique;
};

struct sluice_told {
  __u64 window_ns; /* when the present window began */
  __u64 suppressed;
  __u32 told;
  __u32 pad;
};

/* How many refusals by one technique are told in a window: of one process, and of all processes of an agent.
 */
#define SLUICE_TELL_WINDOW_NS 10000000000
#define SLUICE_TELL_PROCESS 32
#define SLUICE_TELL_AGENT 256

/* Most ports of the proxy: connections of one source address to one of them run out of local ports at 28,000.
 */
#define SLUICE_PROXY_PORTS 16

/* Single entry; written by the daemon. */
struct sluice_config {
  __u32 abi;
  __u32 generation; /* which set of enrolment entries is in force */
  __u32 flags;      /* SLUICE_HAS_* */
  __u32 worker_uid;
  __u64 mark;        /* the value a listener must carry; 0: none has it. It goes with its daemon */
  __u64 self_cgroup; /* the daemon's own cgroup */
  __u64 root_cgroup; /* where paths begin: the root of the hierarchy, or of the daemon's cgroup namespace */
  __u16 proxy_port_count;
  __u16 dns_port;      /* of the forwarder, UDP and TCP; 0: agents have no DNS */
  __u32 unknown_agent; /* id of processes that are governed without being known, and allowed nothing */
  __u64 home_netns;    /* cookie of the daemon's network namespace; 0: listeners are opened nowhere else */
  __u32 daemon_pid;    /* 0: no daemon; the kernel clears it when the daemon exits, however it does */
  __u32 pad1;
  /* CLOCK_BOOTTIME, 0: not at all. A daemon that hands its listeners to the next may exit, and until then the
   * mark is good without one. */
  __u64 hold_until_ns;
  __u16 proxy_ports[SLUICE_PROXY_PORTS]; /* host byte order; 0 behind the first `proxy_port_count` */
};

#define SLUICE_HAS_UID 1u
#define SLUICE_HAS_EXE 2u

/* Enrolment by cgroup path is a walk from the root, one component at a time: (node, name) -> next node. */
struct sluice_path_key {
  __u32 generation;
  __u32 parent; /* 0 is the root */
  char name[SLUICE_NAME_MAX];
};

struct sluice_path_node {
  __u32 node;
  __u32 agent; /* 0: only a step on the way */
};

/*
 * Patterns: a path of which components may have one star each. They are numbered in the order of policy, and
 * all of them are followed at once, one bit for each: what a component fits is looked up by its own text,
 * and, for each shape (how much stands before the star, and how much behind) some pattern has, by what the
 * star leaves of it. Keyed by sluice_path_key, with the level (1 is below the root) in place of the parent.
 */
#define SLUICE_GLOB_WORDS 4
#define SLUICE_GLOB_MAX (64 * SLUICE_GLOB_WORDS)
#define SLUICE_GLOB_SHAPES 32

struct sluice_glob_set {
  __u64 fits[SLUICE_GLOB_WORDS]; /* patterns with this component at this level */
  __u64 ends[SLUICE_GLOB_WORDS]; /* those of them that end with it */
};

struct sluice_glob_shape {
  __u8 before; /* bytes before the star, and behind it; together less than SLUICE_NAME_MAX - 1 */
  __u8 behind;
};

/* One for each generation that has patterns. */
struct sluice_globs {
  __u32 shapes;
  struct sluice_glob_shape shape[SLUICE_GLOB_SHAPES];
  __u32 agents[SLUICE_GLOB_MAX];
};

/* Of a longest-prefix table: a range of user ids is a few prefixes, and the narrower one wins. */
struct sluice_uid_key {
  __u32 prefix_bits; /* 32 for the generation, and those of the user id that count */
  __u32 generation;
  __u32 uid; /* big-endian */
};

struct sluice_exe_key {
  __u64 ino;
  __u32 dev;
  __u32 generation; /* 0 in exe_paths */
};

/* Where an enrolled executable lies: another file that is put there is governed before it is known. */
struct sluice_exe_place {
  __u64 directory_ino;
  __u32 dev;
  __u32 generation;
  char name[SLUICE_NAME_MAX];
};

struct sluice_cgroup_agent {
  __u64 id; /* the key again, first: entries are used anew while somebody may still read them */
  __u32 generation;
  __u32 agent;
};

/* What first made a process an agent. */
enum sluice_why {
  SLUICE_WHY_CGROUP = 1,
  SLUICE_WHY_EXE = 2,
  SLUICE_WHY_UID = 3,
  SLUICE_WHY_ENROLLED = 4, /* by hand: `sluice enrol` */
  SLUICE_WHY_PLACE = 5,    /* runs a file that was put where an enrolled one lay, and is not known yet */
  SLUICE_WHY_UNTAGGED = 6, /* an agent's, but there was no room for its tag: governed as unknown */
};

#define SLUICE_TAG_INHERITED 1u /* its parent was the agent */
#define SLUICE_TAG_RUNNING 2u   /* it ran before policy named it, so it may hold sockets from before */

/* What a process became when it was enrolled; it stays that, wherever it moves and whatever it runs. */
struct sluice_tag {
  __u64 task_start_ns; /* with the pid names the process for good */
  __u64 since_ns;
  __u32 agent;
  __u16 why;
  __u16 flags; /* SLUICE_TAG_* */
};

/* One process, as the iterator over tasks tells of it. */
struct sluice_process {
  __u64 task_start_ns;
  __u64 since_ns; /* 0: no agent */
  __u64 cgroup_id;
  __u64 exe_ino;
  __u32 exe_dev;
  __u32 pid;
  __u32 parent; /* pid */
  __u32 uid;
  __u32 agent; /* 0: none */
  __u16 why;
  __u16 flags;
};

/* One descriptor of a socket, as the iterator over open files tells of it. */
struct sluice_open_socket {
  __u64 cookie;
  __u32 pid;
  __u32 fd;
  __u16 family; /* AF_* */
  __u16 type;   /* SOCK_* */
  __u16 protocol;
  __u8 state; /* TCP_* of the kernel, whatever the protocol */
  __u8 governed;
  __u8 saddr[16]; /* of AF_INET and AF_INET6; v4 in v4-mapped form */
  __u8 daddr[16];
  __u16 sport; /* host byte order */
  __u16 dport;
  __u32 pad;
};

/* Who may be served by an agent: port ranges from address ranges. A rule with several of either is as many
 * entries; what does not fit is refused with the policy. */
#define SLUICE_INBOUND_MAX 64

struct sluice_inbound_key {
  __u32 generation;
  __u32 agent;
};

/* Addresses as two numbers each, v4 in v4-mapped form; all bounds inclusive. */
struct sluice_inbound_range {
  __u64 first[2];
  __u64 last[2];
  __u32 rule; /* id of the rule, which follows from its name */
  __u16 first_port;
  __u16 last_port;
  __u8 protocol; /* IPPROTO_* */
  __u8 pad[7];
};

struct sluice_inbound {
  __u32 count;
  __u32 pad;
  struct sluice_inbound_range ranges[SLUICE_INBOUND_MAX];
};

/* Who has sent a datagram that was let in, and so may be answered: by socket, peer and local port. */
struct sluice_peer_key {
  __u64 socket_cookie;
  __u8 addr[16];
  __u16 port;
  __u16 local_port;
  __u32 agent;
};

/* Path of an executable, filled from the end: text starts at `offset`, ends with NUL. */
struct sluice_exe_path {
  __u32 offset;
  char text[SLUICE_EXE_PATH_MAX + SLUICE_NAME_MAX];
};

/* A network namespace other than the daemon's in which an agent was seen. None of this is trusted for a
 * decision to let pass: that is the listener's mark alone. */
enum sluice_netns_state {
  SLUICE_NETNS_WANTED = 1,  /* the daemon has been asked for a listener */
  SLUICE_NETNS_OPEN = 2,    /* it has opened one */
  SLUICE_NETNS_REFUSED = 3, /* it will not: connections there are refused at once */
};

struct sluice_netns {
  __u64 quiet_until_ns; /* the daemon is not asked again before this; CLOCK_BOOTTIME */
  __u32 state;
  __u32 pad;
};

/* Longest DNS question that is kept for the forwarder while it has no socket in a network namespace: what DNS
 * without EDNS takes for a datagram's most. */
#define SLUICE_QUESTION_MAX 512

/* What the daemon is asked by the ring `sluice_ring_netns`. */
struct sluice_netns_event {
  __u64 netns_cookie;
  __u32 tid;    /* a task that was in it, or the process that waits there; initial pid namespace */
  __u16 length; /* of the question that came too early; 0: none did, and nothing below is filled */
  __u16 port;   /* who sent it, host byte order */
  __u8 sender[16];
  struct sluice_flow flow;
  __u8 question[SLUICE_QUESTION_MAX];
};

/* The client's tuple of a redirected connection, as both ends see it. */
struct sluice_tuple {
  __u64 netns_cookie;
  __u8 saddr[16];
  __u16 sport; /* host byte order */
  __u16 dport;
  __u32 pad;
};

enum sluice_role {
  SLUICE_ROLE_AGENT = 1,    /* a socket of an agent: governed on egress */
  SLUICE_ROLE_LISTENER = 2, /* the daemon's listener; `mark` proves it */
  SLUICE_ROLE_ACCEPTED = 3, /* the worker's end of a flow */
  SLUICE_ROLE_UPSTREAM = 4, /* to a server, from another network namespace than the daemon's */
};

enum sluice_state {
  SLUICE_STATE_IDLE = 0,
  SLUICE_STATE_REDIRECTED = 1, /* destination rewritten, no SYN yet */
  SLUICE_STATE_PUBLISHED = 2,  /* SYN on its way, flow waits under its tuple */
  SLUICE_STATE_DNS = 3,        /* datagram socket whose address was rewritten to the forwarder's */
  SLUICE_STATE_SERVING = 4,    /* accepted by an inbound rule; `flow` has the other end */
};

/* What is stored with a socket. */
struct sluice_sock {
  struct sluice_flow flow;
  struct sluice_tuple tuple;
  __u64 mark;
  __u32 role;
  __u32 state;
  /* The SYN this listening socket refused last: sent again, it is the same attempt. */
  __u32 refused_seq;
  __u16 refused_port;
  __u16 held; /* its SYN waits for the listener of its network namespace to be opened */
};

#endif
