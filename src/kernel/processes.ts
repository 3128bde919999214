/**
 * Who is an agent now, as the kernel says: processes and their sockets by BPF iterators, and the tags that make a
 * running process an agent by hand. Policy alone needs none of it; it is for changes of policy, and for people.
 */
import { addon, buildPaths, kernelError, type NativeMap, type NativeObject } from './addon.ts';
import { addressText, encodeU32, layout } from './layout.ts';
import { pinPaths } from './pins.ts';

/**
 * What first made a process an agent; `place`: it runs a file that lies where an enrolled one lay; `untagged`: there was no
 * room to remember whose it is.
 */
export type Why = 'cgroup' | 'exe' | 'uid' | 'enrolled' | 'place' | 'untagged';

const WHY: Readonly<Record<number, Why>> = {
  1: 'cgroup',
  2: 'exe',
  3: 'uid',
  4: 'enrolled',
  5: 'place',
  6: 'untagged',
};
const WHY_ENROLLED = 4;
const FLAG_INHERITED = 1;
const FLAG_RUNNING = 2;

/** A process takes 56 bytes and a socket 64: a million of them. */
const MAX_BYTES = 64 * 1024 * 1024;

export interface KernelProcess {
  readonly pid: number;
  readonly parent: number;
  /** CLOCK_BOOTTIME; with the pid names the process for good. */
  readonly startNs: bigint;
  readonly uid: number;
  readonly cgroupId: bigint;
  /** Null: no agent. */
  readonly tag: {
    readonly agentId: number;
    readonly why: Why;
    readonly sinceNs: bigint;
    /** Its parent was the agent. */
    readonly inherited: boolean;
    /** It ran before policy named it, and may hold sockets from before. */
    readonly wasRunning: boolean;
  } | null;
}

export interface OpenSocket {
  readonly cookie: bigint;
  readonly pid: number;
  readonly fd: number;
  /** AF_*, SOCK_* and IPPROTO_* of Linux. */
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  readonly state: 'connected' | 'listening' | 'unconnected';
  /** Its packets are judged on egress. */
  readonly governed: boolean;
  /** With port; null for other families than AF_INET and AF_INET6. */
  readonly local: string | null;
  /** Null when it has no peer as well. */
  readonly remote: string | null;
}

const TCP_CLOSE = 7;
const TCP_LISTEN = 10;
export const AF_INET = 2;
export const AF_INET6 = 10;

export function decodeProcesses(bytes: Buffer): KernelProcess[] {
  const { fields, size } = layout.sluice_process;
  const processes: KernelProcess[] = [];
  for (let at = 0; at + size <= bytes.length; at += size) {
    const agentId = bytes.readUInt32LE(at + fields.agent);
    const flags = bytes.readUInt16LE(at + fields.flags);
    processes.push({
      pid: bytes.readUInt32LE(at + fields.pid),
      parent: bytes.readUInt32LE(at + fields.parent),
      startNs: bytes.readBigUInt64LE(at + fields.task_start_ns),
      uid: bytes.readUInt32LE(at + fields.uid),
      cgroupId: bytes.readBigUInt64LE(at + fields.cgroup_id),
      tag:
        agentId === 0
          ? null
          : {
              agentId,
              why: WHY[bytes.readUInt16LE(at + fields.why)] ?? 'cgroup',
              sinceNs: bytes.readBigUInt64LE(at + fields.since_ns),
              inherited: (flags & FLAG_INHERITED) !== 0,
              wasRunning: (flags & FLAG_RUNNING) !== 0,
            },
    });
  }
  return processes;
}

function endpoint(bytes: Buffer, address: number, port: number): string {
  const text = addressText(bytes, address);
  return `${text.includes(':') ? `[${text}]` : text}:${bytes.readUInt16LE(port)}`;
}

export function decodeSockets(bytes: Buffer): OpenSocket[] {
  const { fields, size } = layout.sluice_open_socket;
  const sockets: OpenSocket[] = [];
  for (let at = 0; at + size <= bytes.length; at += size) {
    const family = bytes.readUInt16LE(at + fields.family);
    const state = bytes[at + fields.state];
    const internet = family === AF_INET || family === AF_INET6;
    const connected = state !== TCP_CLOSE && state !== TCP_LISTEN;
    sockets.push({
      cookie: bytes.readBigUInt64LE(at + fields.cookie),
      pid: bytes.readUInt32LE(at + fields.pid),
      fd: bytes.readUInt32LE(at + fields.fd),
      family,
      type: bytes.readUInt16LE(at + fields.type),
      protocol: bytes.readUInt16LE(at + fields.protocol),
      state: state === TCP_LISTEN ? 'listening' : connected ? 'connected' : 'unconnected',
      governed: bytes[at + fields.governed] === 1,
      local: internet ? endpoint(bytes, at + fields.saddr, at + fields.sport) : null,
      remote: internet && connected ? endpoint(bytes, at + fields.daddr, at + fields.dport) : null,
    });
  }
  return sockets;
}

export function encodeTag(startNs: bigint, sinceNs: bigint, agentId: number): Buffer {
  const { fields, size } = layout.sluice_tag;
  const bytes = Buffer.alloc(size);
  bytes.writeBigUInt64LE(startNs, fields.task_start_ns);
  bytes.writeBigUInt64LE(sinceNs, fields.since_ns);
  bytes.writeUInt32LE(agentId, fields.agent);
  bytes.writeUInt16LE(WHY_ENROLLED, fields.why);
  bytes.writeUInt16LE(FLAG_RUNNING, fields.flags);
  return bytes;
}

export class Processes {
  readonly #pins: string;
  readonly #objects = new Map<string, NativeObject>();
  #tags: NativeMap | null = null;

  /** Of a plane that has been loaded. */
  constructor(pinDirectory: string) {
    this.#pins = pinDirectory;
  }

  /**
   * Every process of the host but kernel threads. Whatever policy names is tagged by the way, and what was governed as
   * unknown gets its agent if it has one by now.
   *
   * @throws SluiceError KERNEL where the kernel has no such iterator.
   */
  list(): KernelProcess[] {
    return decodeProcesses(this.#iterate('tasks', 'sluice_tasks', 0));
  }

  /** Sockets of agents: of one process, or of all; one that has several descriptors is there several times. */
  sockets(pid = 0): OpenSocket[] {
    return decodeSockets(this.#iterate('sockets', 'sluice_sockets', pid));
  }

  /** Makes the internet sockets of an agent governed that are not: egress drops what they send. Gives all it has. */
  takeInSockets(pid: number): OpenSocket[] {
    return decodeSockets(this.#iterate('sockets', 'sluice_take_in', pid));
  }

  /** Makes a process an agent. What it is born to from then on is one, too. */
  tag(process: KernelProcess, agentId: number, sinceNs: bigint): void {
    this.#tagMap().update(encodeU32(process.pid), encodeTag(process.startNs, sinceNs, agentId));
  }

  /** Takes a tag off again: of a process that ended before it had it, for one. */
  untag(pid: number): void {
    this.#tagMap().delete(encodeU32(pid));
  }

  #tagMap(): NativeMap {
    this.#tags ??= new (addon().BpfMap)(pinPaths(this.#pins).map('sluice_tags'));
    return this.#tags;
  }

  #iterate(file: string, program: string, pid: number): Buffer {
    try {
      let object = this.#objects.get(file);
      if (object === undefined) {
        object = new (addon().BpfObject)(
          `${buildPaths.objects}/iter/${file}.bpf.o`,
          pinPaths(this.#pins).maps,
        );
        object.load();
        this.#objects.set(file, object);
      }
      const { bytes, whole } = object.iterate(program, pid, MAX_BYTES);
      if (!whole) throw new Error('there are more than can be held');
      return bytes;
    } catch (error) {
      throw kernelError('the kernel cannot be asked for processes and sockets', error);
    }
  }

  close(): void {
    for (const object of this.#objects.values()) object.close();
    this.#objects.clear();
    this.#tags?.close();
    this.#tags = null;
  }
}
