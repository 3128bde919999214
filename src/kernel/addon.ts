/**
 * The one importer of the native addon, with its types. Everything above speaks to kernel/ only.
 */
import { createRequire } from 'node:module';
import { release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { errnoOf, messageOf, SluiceError } from '../core/errors.ts';
import { refusalIn } from './verifier.ts';

export interface NativeMap {
  lookup(key: Buffer): Buffer | null;
  update(key: Buffer, value: Buffer): void;
  /** Whether the key was there. */
  delete(key: Buffer): boolean;
  keys(): Buffer[];
  /** The most entries it takes; of a ring: bytes. */
  size(): number;
  close(): void;
}

export interface NativeProgram {
  readonly name: string;
  readonly section: string;
  /** `enum bpf_attach_type` of linux/bpf.h. */
  readonly attachType: number;
  /** Steps the verifier took; 0 before `load`. */
  readonly verifiedInstructions: number;
}

export interface NativeObject {
  /** `sizes`: the most entries (of rings: bytes) of maps that are not pinned yet, by name. */
  load(sizes?: Readonly<Record<string, number>>): void;
  programs(): NativeProgram[];
  attach(program: string, cgroupPath: string, linkPin: string): 'attached' | 'replaced' | 'there';
  /** Runs an iterator, over one process or (0) over all; `whole` is false when it wrote more than `maxBytes`. */
  iterate(program: string, pid: number, maxBytes: number): { bytes: Buffer; whole: boolean };
  /** Runs an iterator over the elements of a pinned map. */
  iterateMap(program: string, mapPin: string): void;
  /** Runs a program of section `syscall`, whose argument `context` is; what it answers. */
  run(program: string, context: Buffer): number;
  /** As the object was built with it; null if it does not know it. */
  struct(name: string): NativeStruct | null;
  close(): void;
}

/** A field that is no struct, by its path in the struct (`flow.id`, `ranges[3].rule`; empty: there is no struct). Bytes. */
export interface NativeField {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

export interface NativeStruct {
  readonly size: number;
  readonly fields: readonly NativeField[];
}

export interface NativeShape {
  /** `enum bpf_map_type` of linux/bpf.h. */
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** Null where the map has no BTF. */
  readonly key: NativeStruct | null;
  readonly value: NativeStruct | null;
}

export interface NativeRing {
  /** Of the ring, bytes; each event takes `RING_HEAD_BYTES` more than it has. */
  readonly size: number;
  /** Whole events that were not given yet, one after the other. */
  consume(): Buffer;
  /** Lets go of the first `count` of those that were given: until then they are there for the next reader. */
  commit(count: number): void;
  close(): void;
}

export interface NativeDatagram {
  /** The number `add` gave. */
  readonly socket: number;
  /** Of the UDP payload; longer ones than the socket was asked for are left out. */
  readonly bytes: Buffer;
  /** The sender's `sockaddr`, for `send`. */
  readonly from: Buffer;
  /** `struct sluice_flow`. */
  readonly flow: Buffer;
}

export interface NativeDatagrams {
  /** Owns `fd`. A number is not used again. */
  add(fd: number): number;
  /** Closes the socket. */
  remove(socket: number): void;
  /** What has come, at most 64 of each of 16 sockets; what no agent sent is left out. Called again while there is more. */
  receive(): NativeDatagram[];
  /** Whether the kernel took it; not if the socket is closed. */
  send(socket: number, bytes: Uint8Array, to: Buffer): boolean;
  close(): void;
}

export interface NativeDescriptorReader {
  close(): void;
}

/** What stands in every match of an expression. Too much said in it hides matches. */
export interface Outline {
  readonly digits: number;
  /**
   * Of at most 31 places, one of them a digit; each a kind of byte by its letter: d digit, j space or hyphen, s from space to slash, w neither
   * letter nor digit, v the same and no point, a any. Before a text and behind it stands a line feed.
   */
  readonly segments: readonly string[];
}

export type NativeExpressions = readonly [
  expressions: readonly string[],
  caseless: readonly boolean[],
  outlines: readonly (Outline | null)[],
];

/** Good for one scanner. */
export type NativePatterns = object & { readonly patterns: unique symbol };

export interface NativeScanner {
  /** Bytes of memory. */
  readonly size: number;
  scan(bytes: Uint8Array, texts: Uint32Array, count: number, wanted: Uint8Array): Uint32Array | null;
}

export interface NativeScanStream {
  push(chunk: Uint8Array): Uint32Array | null;
  end(): Uint32Array | null;
}

export interface Addon {
  readonly BpfMap: new (pin: string) => NativeMap;
  /** `pins`: maps that are given by name, whatever shape they have. */
  readonly BpfObject: new (
    file: string,
    mapPins: string,
    pins?: Readonly<Record<string, string>>,
  ) => NativeObject;
  readonly Datagrams: new (maxBytes: number, flowBytes: number, onReady: () => void) => NativeDatagrams;
  readonly Ring: new (
    pin: string,
    eventSize: number,
    gatherMicroseconds: number,
    onReady: () => void,
  ) => NativeRing;
  readonly Scanner: new (...expressions: NativeExpressions | [patterns: NativePatterns]) => NativeScanner;
  /** Compiled on another thread. */
  compilePatterns(...expressions: NativeExpressions): Promise<NativePatterns>;
  readonly ScanStream: new (scanner: NativeScanner) => NativeScanStream;
  readonly DescriptorReader: new (
    fd: number,
    onMessage: (message: Buffer, fds: number[]) => void,
  ) => NativeDescriptorReader;
  effectivePrograms(cgroupPath: string, attachType: number): { id: number; name: string }[];
  linkProgram(pin: string): { linkId: number; programId: number; programName: string };
  mapShape(pin: string): NativeShape;
  /** A struct as the program in a pinned array of programs knows it. */
  programStruct(programArrayPin: string, name: string): NativeStruct | null;
  /** Puts the program behind a link into a pinned array of programs. */
  callFormer(programArrayPin: string, linkPin: string): void;
  /** The other way round; false if the array is empty. */
  restoreFormer(programArrayPin: string, linkPin: string): boolean;
  /** Returns when no program runs any more that was begun before. */
  waitForPrograms(): void;
  listenTcp(ip: string, port: number, backlog: number, netns?: number): { fd: number; port: number };
  listenUdp(ip: string, port: number, netns?: number): { fd: number; port: number };
  openNamespace(tid: number): { fd: number; cookie: bigint; inode: number; ownerUid: number | null };
  homeNamespace(): { cookie: bigint; inode: number };
  socketsIn(netns: number, family: 4 | 6, count: number): number[];
  descriptorPair(): [number, number];
  sendDescriptors(fd: number, message: Buffer, fds: readonly number[]): boolean;
  /** Writes `struct sluice_flow` into `into`; false if no agent made the connection. */
  readFlow(fd: number, into: Buffer): boolean;
  socketError(fd: number): Error | null;
  /** False: it is no socket. */
  resetOnClose(fd: number): boolean;
  sendNow(fd: number, bytes: Uint8Array): number;
  peerCredentials(fd: number): { pid: number; uid: number };
  disconnect(pid: number, fd: number, cookie: bigint): 'disconnected' | 'shut' | 'gone';
  duplicateFd(fd: number): number;
  closeFd(fd: number): void;
  lockFile(path: string): number;
  harden(options: { noNewPrivs: boolean; dieWithParent: boolean }): void;
  raiseFileLimit(): number;
  sdNotify(text: string): boolean;
  openProcess(pid: number): number;
  killProcess(pidfd: number): void;
  /** False while it runs. */
  reapProcess(pidfd: number): boolean;
  outliveParent(): void;
  memoryFile(name: string): number;
  inherit(fd: number, yes: boolean): void;
  execute(file: string, argv: readonly string[], env: readonly string[]): never;
  storeDescriptor(text: string, fd: number): boolean;
}

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Where the build puts what it makes. */
export const buildPaths = {
  addon: `${root}build/Release/sluice.node`,
  canary: `${root}build/native/sluice-canary`,
  objects: `${root}build/bpf`,
} as const;

let loaded: Addon | undefined;

/** Loads the addon on first use, so that commands that need no kernel work without a build. */
export function addon(): Addon {
  if (loaded === undefined) {
    try {
      loaded = createRequire(import.meta.url)(buildPaths.addon) as Addon;
    } catch (error) {
      throw new SluiceError('KERNEL', `the native addon cannot be loaded: ${messageOf(error)}`, {
        hint: 'build it: scripts/lib/setup, or npm run build',
        cause: error,
      });
    }
  }
  return loaded;
}

/** What libbpf and the verifier said during a call that failed; empty for other errors. */
export function logOf(error: unknown): string {
  const hasLog =
    typeof error === 'object' && error !== null && 'log' in error && typeof error.log === 'string';
  return hasLog ? String(error.log) : '';
}

/** The last lines of that: of what libbpf says itself the reason stands there. */
function logTail(error: unknown): string {
  const log = logOf(error).trim();
  return log === '' ? '' : `\n${log.split('\n').slice(-12).join('\n')}`;
}

const AS_ROOT = 'run as root (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN)';

/** Turns a native error into ours, with the mend for those that everybody meets. */
export function kernelError(what: string, error: unknown): SluiceError {
  const errno = errnoOf(error);
  const refusal = refusalIn(logOf(error));
  if (refusal !== null)
    return new SluiceError(
      'KERNEL',
      `${what}: the kernel's verifier refuses ${refusal.program} (${errno}):\n${refusal.tail}`,
      {
        hint: refusal.forPrivilege
          ? AS_ROOT
          : `boot a kernel that Sluice is tested on (README, Requirements), or report these lines with its release (${release()})`,
        cause: error,
      },
    );
  if (errno === 'EPERM' || errno === 'EACCES')
    return new SluiceError('PERMISSION', `${what}: ${messageOf(error)}`, { hint: AS_ROOT, cause: error });
  if (errno === 'ENOENT')
    return new SluiceError('KERNEL', `${what}: ${messageOf(error)}`, {
      hint: 'run `sluice doctor` to see what is missing',
      cause: error,
    });
  return new SluiceError('KERNEL', `${what}: ${messageOf(error)}${logTail(error)}`, { cause: error });
}
