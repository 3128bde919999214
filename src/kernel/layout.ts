/**
 * Encodes and decodes the structs of bpf/api/sluice.h. Little-endian, natural alignment; the sizes and offsets
 * here are compared with the compiled objects' BTF in test/bpf/layout.test.ts.
 */
import { endianness } from 'node:os';
import { SluiceError } from '../core/errors.ts';
import type { Inbound, KernelEvent, KernelEventKind, KernelReason, Refusal } from './events.ts';
import type { FlowFacts } from './facts.ts';
import { techniqueOf } from './techniques.ts';

export const SLUICE_ABI = 6;

if (endianness() !== 'LE')
  throw new SluiceError('NOT_SUPPORTED', 'Sluice runs on little-endian machines only');

/** Field offsets by struct, for the layout test as much as for the code below. */
export const layout = {
  sluice_flow: {
    size: 96,
    fields: {
      id: 0,
      start_ns: 8,
      netns_cookie: 16,
      cgroup_id: 24,
      task_start_ns: 32,
      exe_ino: 40,
      exe_dev: 48,
      pid: 52,
      uid: 56,
      gid: 60,
      agent: 64,
      generation: 68,
      daddr: 72,
      dport: 88,
      family: 90,
      protocol: 91,
      detail: 92,
    },
  },
  sluice_event: {
    size: 136,
    fields: {
      kind: 0,
      reason: 2,
      technique: 4,
      local_port: 6,
      time_ns: 8,
      suppressed: 16,
      received: 24,
      sent: 32,
      flow: 40,
    },
  },
  sluice_denied_key: { size: 8, fields: { agent: 0, technique: 4 } },
  sluice_inbound_key: { size: 8, fields: { generation: 0, agent: 4 } },
  sluice_inbound_range: {
    size: 48,
    fields: { first: 0, last: 16, rule: 32, first_port: 36, last_port: 38, protocol: 40, pad: 41 },
  },
  sluice_inbound: { size: 3080, fields: { count: 0, pad: 4, ranges: 8 } },
  sluice_config: {
    size: 104,
    fields: {
      abi: 0,
      generation: 4,
      flags: 8,
      worker_uid: 12,
      mark: 16,
      self_cgroup: 24,
      root_cgroup: 32,
      proxy_port_count: 40,
      dns_port: 42,
      unknown_agent: 44,
      home_netns: 48,
      daemon_pid: 56,
      pad1: 60,
      hold_until_ns: 64,
      proxy_ports: 72,
    },
  },
  sluice_path_key: { size: 264, fields: { generation: 0, parent: 4, name: 8 } },
  sluice_path_node: { size: 8, fields: { node: 0, agent: 4 } },
  sluice_glob_set: { size: 64, fields: { fits: 0, ends: 32 } },
  sluice_globs: { size: 1092, fields: { shapes: 0, shape: 4, agents: 68 } },
  sluice_uid_key: { size: 12, fields: { prefix_bits: 0, generation: 4, uid: 8 } },
  sluice_exe_place: { size: 272, fields: { directory_ino: 0, dev: 8, generation: 12, name: 16 } },
  sluice_exe_key: { size: 16, fields: { ino: 0, dev: 8, generation: 12 } },
  sluice_tag: { size: 24, fields: { task_start_ns: 0, since_ns: 8, agent: 16, why: 20, flags: 22 } },
  sluice_process: {
    size: 56,
    fields: {
      task_start_ns: 0,
      since_ns: 8,
      cgroup_id: 16,
      exe_ino: 24,
      exe_dev: 32,
      pid: 36,
      parent: 40,
      uid: 44,
      agent: 48,
      why: 52,
      flags: 54,
    },
  },
  sluice_open_socket: {
    size: 64,
    fields: {
      cookie: 0,
      pid: 8,
      fd: 12,
      family: 16,
      type: 18,
      protocol: 20,
      state: 22,
      governed: 23,
      saddr: 24,
      daddr: 40,
      sport: 56,
      dport: 58,
      pad: 60,
    },
  },
  sluice_exe_path: { size: 772, fields: { offset: 0, text: 4 } },
  sluice_netns: { size: 16, fields: { quiet_until_ns: 0, state: 8, pad: 12 } },
  sluice_netns_event: {
    size: 640,
    fields: { netns_cookie: 0, tid: 8, length: 12, port: 14, sender: 16, flow: 32, question: 128 },
  },
  sluice_tuple: { size: 32, fields: { netns_cookie: 0, saddr: 8, sport: 24, dport: 26, pad: 28 } },
  sluice_sock: {
    size: 152,
    fields: {
      flow: 0,
      tuple: 96,
      mark: 128,
      role: 136,
      state: 140,
      refused_seq: 144,
      refused_port: 148,
      held: 150,
    },
  },
} as const;

const flow = layout.sluice_flow.fields;
const event = layout.sluice_event.fields;

const eventKinds: Readonly<Record<number, KernelEventKind>> = {
  1: 'open',
  2: 'denied',
  3: 'undelivered',
  4: 'closed',
  5: 'served',
};

/** Index into `sluice_counters` behind the two for lost events. */
export const reasonNumbers: Readonly<Record<KernelReason, number>> = {
  no_listener: 1,
  proxy_direct: 2,
  udp_denied: 3,
  socket_denied: 4,
  option_denied: 5,
  egress_denied: 6,
  not_delivered: 7,
  state_lost: 8,
  inbound_denied: 9,
  foreign_socket: 10,
  unix_denied: 11,
};

const kernelReasons: ReadonlyMap<number, KernelReason> = new Map(
  Object.entries(reasonNumbers).map(([name, number]) => [number, name as KernelReason]),
);

const ROLE_LISTENER = 2;
const ROLE_UPSTREAM = 4;

function isV4Mapped(bytes: Buffer, offset: number): boolean {
  return (
    bytes.readBigUInt64BE(offset) === 0n &&
    bytes.readUInt16BE(offset + 8) === 0 &&
    bytes.readUInt16BE(offset + 10) === 0xffff
  );
}

/** Text of a 16-byte address; v4-mapped ones as IPv4, others in the short form of RFC 5952. */
export function addressText(bytes: Buffer, offset: number): string {
  if (isV4Mapped(bytes, offset))
    return `${bytes[offset + 12]}.${bytes[offset + 13]}.${bytes[offset + 14]}.${bytes[offset + 15]}`;
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2) groups.push(bytes.readUInt16BE(offset + at).toString(16));
  // The longest run of two or more zero groups becomes "::", the first of equals.
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === '0') length += 1;
    if (length > best.length) best = { start, length };
  }
  if (best.start < 0) return groups.join(':');
  return `${groups.slice(0, best.start).join(':')}::${groups.slice(best.start + best.length).join(':')}`;
}

/** The id of a `struct sluice_flow`. */
export function decodeFlowId(bytes: Buffer, at = 0): string {
  return bytes
    .readBigUInt64LE(at + flow.id)
    .toString(16)
    .padStart(16, '0');
}

/** Decodes `struct sluice_flow`. */
export function decodeFlow(bytes: Buffer, at = 0): FlowFacts {
  return {
    id: decodeFlowId(bytes, at),
    startNs: bytes.readBigUInt64LE(at + flow.start_ns),
    netnsCookie: bytes.readBigUInt64LE(at + flow.netns_cookie),
    cgroupId: bytes.readBigUInt64LE(at + flow.cgroup_id),
    taskStartNs: bytes.readBigUInt64LE(at + flow.task_start_ns),
    exeInode: bytes.readBigUInt64LE(at + flow.exe_ino),
    exeDev: bytes.readUInt32LE(at + flow.exe_dev),
    pid: bytes.readUInt32LE(at + flow.pid),
    uid: bytes.readUInt32LE(at + flow.uid),
    gid: bytes.readUInt32LE(at + flow.gid),
    agentId: bytes.readUInt32LE(at + flow.agent),
    dstIp: addressText(bytes, at + flow.daddr),
    dstPort: bytes.readUInt16LE(at + flow.dport),
    family: bytes[at + flow.family] === 6 ? 6 : 4,
  };
}

/** Decodes `struct sluice_event`; null for a kind this version does not know. */
export function decodeEvent(bytes: Buffer, at = 0): KernelEvent | null {
  const kind = eventKinds[bytes.readUInt16LE(at + event.kind)];
  if (kind === undefined) return null;
  return new DecodedEvent(bytes, at, kind);
}

class DecodedEvent implements KernelEvent {
  readonly kind: KernelEventKind;
  readonly reason: KernelReason | null;
  readonly id: string;
  readonly #bytes: Buffer;
  readonly #at: number;

  constructor(bytes: Buffer, at: number, kind: KernelEventKind) {
    this.kind = kind;
    this.reason = kernelReasons.get(bytes.readUInt16LE(at + event.reason)) ?? null;
    this.id = decodeFlowId(bytes, at + event.flow);
    this.#bytes = bytes;
    this.#at = at;
  }

  get facts(): FlowFacts {
    return decodeFlow(this.#bytes, this.#at + event.flow);
  }

  get timeNs(): bigint {
    return this.#bytes.readBigUInt64LE(this.#at + event.time_ns);
  }

  get refusal(): Refusal | null {
    return this.kind === 'denied' ? decodeRefusal(this.#bytes, this.#at) : null;
  }

  get inbound(): Inbound | null {
    const isInbound = this.kind === 'served' || this.reason === 'inbound_denied';
    return isInbound ? decodeInbound(this.#bytes, this.#at, this.kind) : null;
  }
}

function decodeRefusal(bytes: Buffer, at: number): Refusal {
  return {
    technique: techniqueOf(bytes.readUInt16LE(at + event.technique)),
    suppressed: Number(bytes.readBigUInt64LE(at + event.suppressed)),
    protocol: bytes.readUInt8(at + event.flow + flow.protocol),
    detail: bytes.readUInt32LE(at + event.flow + flow.detail),
  };
}

function decodeInbound(bytes: Buffer, at: number, kind: KernelEventKind): Inbound {
  return {
    localPort: bytes.readUInt16LE(at + event.local_port),
    rule: kind === 'denied' ? 0 : bytes.readUInt32LE(at + event.flow + flow.detail),
    received: Number(bytes.readBigUInt64LE(at + event.received)),
    sent: Number(bytes.readBigUInt64LE(at + event.sent)),
  };
}

export interface KernelConfig {
  readonly abi: number;
  readonly generation: number;
  readonly hasUids: boolean;
  readonly hasExes: boolean;
  readonly workerUid: number;
  readonly mark: bigint;
  readonly selfCgroup: bigint;
  /** Where cgroup paths begin. */
  readonly rootCgroup: bigint;
  /** At most PROXY_PORTS_MAX, none of them 0. */
  readonly proxyPorts: readonly number[];
  /** Id of processes that are governed without being known. */
  readonly unknownAgent: number;
  /** 0: agents have no DNS. */
  readonly dnsPort: number;
  /** 0: there is none, and nobody to wait for. */
  readonly daemonPid: number;
  /** Cookie of the daemon's own network namespace. */
  readonly homeNetns: bigint;
  /** CLOCK_BOOTTIME: until then the mark is good without a daemon; 0: it goes with the daemon. */
  readonly holdUntilNs: bigint;
}

const config = layout.sluice_config.fields;

/** SLUICE_PROXY_PORTS: most ports the proxy can listen on. */
export const PROXY_PORTS_MAX = 16;

export function encodeConfig(value: KernelConfig): Buffer {
  const bytes = Buffer.alloc(layout.sluice_config.size);
  bytes.writeUInt32LE(value.abi, config.abi);
  bytes.writeUInt32LE(value.generation, config.generation);
  bytes.writeUInt32LE((value.hasUids ? 1 : 0) | (value.hasExes ? 2 : 0), config.flags);
  bytes.writeUInt32LE(value.workerUid, config.worker_uid);
  bytes.writeBigUInt64LE(value.mark, config.mark);
  bytes.writeBigUInt64LE(value.selfCgroup, config.self_cgroup);
  bytes.writeBigUInt64LE(value.rootCgroup, config.root_cgroup);
  bytes.writeUInt16LE(value.proxyPorts.length, config.proxy_port_count);
  for (const [n, port] of value.proxyPorts.entries()) bytes.writeUInt16LE(port, config.proxy_ports + 2 * n);
  bytes.writeUInt32LE(value.unknownAgent, config.unknown_agent);
  bytes.writeUInt16LE(value.dnsPort, config.dns_port);
  bytes.writeUInt32LE(value.daemonPid, config.daemon_pid);
  bytes.writeBigUInt64LE(value.homeNetns, config.home_netns);
  bytes.writeBigUInt64LE(value.holdUntilNs, config.hold_until_ns);
  return bytes;
}

export function decodeConfig(bytes: Buffer): KernelConfig {
  const flags = bytes.readUInt32LE(config.flags);
  return {
    abi: bytes.readUInt32LE(config.abi),
    generation: bytes.readUInt32LE(config.generation),
    hasUids: (flags & 1) !== 0,
    hasExes: (flags & 2) !== 0,
    workerUid: bytes.readUInt32LE(config.worker_uid),
    mark: bytes.readBigUInt64LE(config.mark),
    selfCgroup: bytes.readBigUInt64LE(config.self_cgroup),
    rootCgroup: bytes.readBigUInt64LE(config.root_cgroup),
    proxyPorts: Array.from({ length: bytes.readUInt16LE(config.proxy_port_count) }, (_, n) =>
      bytes.readUInt16LE(config.proxy_ports + 2 * n),
    ),
    unknownAgent: bytes.readUInt32LE(config.unknown_agent),
    dnsPort: bytes.readUInt16LE(config.dns_port),
    daemonPid: bytes.readUInt32LE(config.daemon_pid),
    homeNetns: bytes.readBigUInt64LE(config.home_netns),
    holdUntilNs: bytes.readBigUInt64LE(config.hold_until_ns),
  };
}

/** Longest directory name a path key can hold, without its NUL. */
export const CGROUP_NAME_MAX = 255;
/** Deepest cgroup path that can be enrolled. */
export const CGROUP_DEPTH_MAX = 16;

export function encodePathKey(generation: number, parent: number, name: string): Buffer {
  const bytes = Buffer.alloc(layout.sluice_path_key.size);
  bytes.writeUInt32LE(generation, 0);
  bytes.writeUInt32LE(parent, 4);
  bytes.write(name, layout.sluice_path_key.fields.name, 'utf8');
  return bytes;
}

export function encodePathNode(node: number, agent: number): Buffer {
  const bytes = Buffer.alloc(layout.sluice_path_node.size);
  bytes.writeUInt32LE(node, 0);
  bytes.writeUInt32LE(agent, 4);
  return bytes;
}

/** Most patterns, and most different (before, behind) of their stars, a set of tables can hold. */
export const GLOB_MAX = 256;
export const GLOB_SHAPES_MAX = 32;

/** Of a component at `level` of a path; below the root it is 1. */
export function encodeGlobKey(generation: number, level: number, component: string): Buffer {
  return encodePathKey(generation, level, component);
}

/** `fits` and `ends` have a bit for each pattern. */
export function encodeGlobSet(fits: bigint, ends: bigint): Buffer {
  const bytes = Buffer.alloc(layout.sluice_glob_set.size);
  for (let word = 0n; word < GLOB_MAX / 64; word += 1n) {
    const at = Number(word) * 8;
    bytes.writeBigUInt64LE(BigInt.asUintN(64, fits >> (word * 64n)), layout.sluice_glob_set.fields.fits + at);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, ends >> (word * 64n)), layout.sluice_glob_set.fields.ends + at);
  }
  return bytes;
}

export interface GlobShape {
  /** Bytes before the star, and behind it. */
  readonly before: number;
  readonly behind: number;
}

export function encodeGlobs(shapes: readonly GlobShape[], agents: readonly number[]): Buffer {
  const { fields, size } = layout.sluice_globs;
  const bytes = Buffer.alloc(size);
  bytes.writeUInt32LE(shapes.length, fields.shapes);
  for (const [n, { before, behind }] of shapes.entries()) bytes.set([before, behind], fields.shape + 2 * n);
  for (const [n, agent] of agents.entries()) bytes.writeUInt32LE(agent, fields.agents + 4 * n);
  return bytes;
}

/** The key of all user ids whose first `bits` (0 to 32) are those of `uid`. */
export function encodeUidKey(generation: number, uid: number, bits: number): Buffer {
  const { fields, size } = layout.sluice_uid_key;
  const bytes = Buffer.alloc(size);
  bytes.writeUInt32LE(32 + bits, fields.prefix_bits);
  bytes.writeUInt32LE(generation, fields.generation);
  bytes.writeUInt32BE(uid, fields.uid);
  return bytes;
}

export function encodeExePlace(
  directoryInode: bigint,
  dev: number,
  generation: number,
  name: string,
): Buffer {
  const { fields, size } = layout.sluice_exe_place;
  const bytes = Buffer.alloc(size);
  bytes.writeBigUInt64LE(directoryInode, fields.directory_ino);
  bytes.writeUInt32LE(dev, fields.dev);
  bytes.writeUInt32LE(generation, fields.generation);
  bytes.write(name, fields.name, 'utf8');
  return bytes;
}

/** `generation` 0 is the key of `sluice_exe_paths`. */
export function encodeExeKey(inode: bigint, dev: number, generation: number): Buffer {
  const bytes = Buffer.alloc(layout.sluice_exe_key.size);
  bytes.writeBigUInt64LE(inode, 0);
  bytes.writeUInt32LE(dev, 8);
  bytes.writeUInt32LE(generation, 12);
  return bytes;
}

/** The agent and technique a counter of `sluice_denied` is of. */
export function decodeDeniedKey(bytes: Buffer): { readonly agentId: number; readonly technique: number } {
  const { agent, technique } = layout.sluice_denied_key.fields;
  return { agentId: bytes.readUInt32LE(agent), technique: bytes.readUInt32LE(technique) };
}

/** Which generation an enrolment key belongs to. */
export const generationOf = {
  path: (key: Buffer) => key.readUInt32LE(0),
  glob: (key: Buffer) => key.readUInt32LE(0),
  globSet: (key: Buffer) => key.readUInt32LE(0),
  uid: (key: Buffer) => key.readUInt32LE(4),
  place: (key: Buffer) => key.readUInt32LE(12),
  exe: (key: Buffer) => key.readUInt32LE(12),
  inbound: (key: Buffer) => key.readUInt32LE(0),
} as const;

export function encodeU32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0, 0);
  return bytes;
}

export function encodeU64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value, 0);
  return bytes;
}

/** The storage that makes a socket one of the daemon's listeners. */
export function encodeListenerSock(mark: bigint): Buffer {
  const bytes = Buffer.alloc(layout.sluice_sock.size);
  bytes.writeBigUInt64LE(mark, layout.sluice_sock.fields.mark);
  bytes.writeUInt32LE(ROLE_LISTENER, layout.sluice_sock.fields.role);
  return bytes;
}

/** The storage that holds a worker's connection from another network namespace to the address it asked for. */
export function encodeUpstreamSock(): Buffer {
  const bytes = Buffer.alloc(layout.sluice_sock.size);
  bytes.writeUInt32LE(ROLE_UPSTREAM, layout.sluice_sock.fields.role);
  return bytes;
}

/** The text in a `struct sluice_exe_path`, or null if it makes no sense. */
export function decodeExePath(bytes: Buffer): string | null {
  const offset = bytes.readUInt32LE(0);
  const start = layout.sluice_exe_path.fields.text + offset;
  const end = bytes.indexOf(0, start);
  if (start >= bytes.length || end < 0 || bytes[start] !== 0x2f) return null;
  return bytes.toString('utf8', start, end);
}
