/**
 * The kernel plane as the daemon drives it: load, configure, attach, and keep the enrolment tables.
 *
 * Order matters. Tables and configuration are complete before the first program is attached; a new set of
 * enrolment entries is complete before one write puts its generation in force. What is pinned stays when the
 * daemon goes: agents are then refused, never let through.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { release } from 'node:os';
import { errnoOf, SluiceError } from '../core/errors.ts';
import { addon, buildPaths, kernelError, logOf, type NativeMap, type NativeObject } from './addon.ts';
import { cgroupId } from './cgroup.ts';
import { buildGlobs, buildTrie, buildUidPrefixes, type EnrolmentTables } from './enrolment.ts';
import type { FlowFacts } from './facts.ts';
import { encodeInbound, encodeInboundKey } from './inbound.ts';
import {
  decodeConfig,
  decodeDeniedKey,
  decodeExePath,
  decodeFlow,
  encodeConfig,
  encodeExeKey,
  encodeExePlace,
  encodeGlobKey,
  encodeGlobSet,
  encodeGlobs,
  encodeListenerSock,
  encodePathKey,
  encodePathNode,
  encodeU32,
  encodeU64,
  encodeUidKey,
  encodeUpstreamSock,
  generationOf,
  type KernelConfig,
  layout,
  reasonNumbers,
  SLUICE_ABI,
} from './layout.ts';
import { lackingError, missingIn } from './missing.ts';
import { encodeNamespace, type NamespaceState } from './namespace-layout.ts';

import {
  foreignPrograms,
  lsmStates,
  makePinDirectories,
  type ProgramState,
  pinPaths,
  programStates,
} from './pins.ts';
import { fullTable, type MapName, mapSizes, sumOf, type TableSizes } from './tables.ts';
import { type Denials, techniqueOf } from './techniques.ts';

/** SLUICE_COUNTER_UNTAGGED of bpf/lib/maps.h: behind two for the rings and SLUICE_REASON_MAX for the reasons. */
const COUNTER_UNTAGGED = 2 + Object.keys(reasonNumbers).length + 1;
/** SLUICE_COUNTER_UNSORTED. */
const COUNTER_UNSORTED = COUNTER_UNTAGGED + 1;
/** SLUICE_COUNTER_UNPUBLISHED. */
const COUNTER_UNPUBLISHED = COUNTER_UNSORTED + 1;
const ONLY_ENTRY = encodeU32(0);

export interface PlaneOptions {
  readonly pinDirectory: string;
  /** Mount point of cgroup v2. */
  readonly cgroupRoot: string;
  readonly workerUid: number;
  readonly selfCgroupId: bigint;
  /** Sizes of tables that are to differ from the usual. */
  readonly tableSizes?: TableSizes;
  /** Of listeners an earlier daemon has handed over. */
  readonly mark?: bigint;
  /** Whom the kernel takes a process for that must be governed and is not known. */
  readonly unknownAgentId: number;
}

export interface PlaneCounters {
  readonly flowEventsLost: bigint;
  readonly denyEventsLost: bigint;
  /** Refusals in the kernel by reason, told or not. */
  readonly refused: Readonly<Record<string, bigint>>;
  /** Processes that could not be tagged because the table was full. */
  readonly untagged: bigint;
  /** Refusals that `denials()` had no room for: told by reason only. */
  readonly unsorted: bigint;
  /** Connections there was no room for on their way to a worker, and which failed. */
  readonly unpublished: bigint;
}

type StaleBefore = Readonly<Record<'connectionsNs' | 'datagramsNs', bigint>>;

export class KernelPlane {
  readonly #options: PlaneOptions;
  readonly #objects: { readonly object: NativeObject; readonly programs: readonly string[] }[] = [];
  readonly #maps = new Map<MapName, NativeMap>();
  readonly #mark: bigint;
  #config: KernelConfig;
  #forwarderPort = 0;

  private constructor(options: PlaneOptions) {
    this.#options = options;
    this.#mark = options.mark ?? randomBytes(8).readBigUInt64LE();
    this.#config = {
      abi: SLUICE_ABI,
      generation: 0,
      hasUids: false,
      hasExes: false,
      workerUid: options.workerUid,
      mark: this.#mark,
      selfCgroup: options.selfCgroupId,
      rootCgroup: cgroupId(options.cgroupRoot),
      proxyPorts: [],
      unknownAgent: options.unknownAgentId,
      dnsPort: 0,
      daemonPid: process.pid,
      homeNetns: 0n,
      holdUntilNs: 0n,
    };
  }

  /**
   * Loads every object and opens the maps; attaches nothing yet.
   *
   * @throws SluiceError ABI_MISMATCH when pins of another version are in force, ALREADY_RUNNING when another
   *   Sluice's programs are attached, KERNEL with the verifier's words when a program is refused.
   */
  static load(options: PlaneOptions): KernelPlane {
    const plane = new KernelPlane(options);
    try {
      makePinDirectories(options.pinDirectory);
      plane.#refuseForeign();
      plane.#loadObjects();
      plane.#adoptPinned();
    } catch (error) {
      plane.close();
      throw error instanceof SluiceError ? error : kernelError('the kernel programs cannot be loaded', error);
    }
    return plane;
  }

  #refuseForeign(): void {
    const foreign = foreignPrograms(this.#options.pinDirectory, this.#options.cgroupRoot);
    if (foreign.length > 0)
      throw new SluiceError(
        'ALREADY_RUNNING',
        `another Sluice's programs are attached: ${foreign.join(', ')}`,
        {
          hint: 'stop that daemon and run its `sluice uninstall` (with its --pin-dir) first',
        },
      );
  }

  #loadObjects(): void {
    const pins = pinPaths(this.#options.pinDirectory);
    const files = readdirSync(buildPaths.objects).filter((name) => name.endsWith('.bpf.o'));
    if (files.length === 0)
      throw new SluiceError('KERNEL', 'the BPF objects are not built', { hint: 'npm run build' });
    const missing = new Set<string>();
    const sizes = mapSizes(this.#options.pinDirectory, this.#options.tableSizes ?? {});
    for (const file of files) {
      const object = new (addon().BpfObject)(`${buildPaths.objects}/${file}`, pins.maps);
      const programs = object.programs().map((program) => program.name);
      this.#objects.push({ object, programs });
      try {
        object.load(sizes);
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'EINVAL' && 'log' in error)
          this.#refuseOtherAbi(error);
        const lacking = missingIn(release(), errnoOf(error), logOf(error));
        if (lacking.length === 0) throw kernelError(`${file} cannot be loaded`, error);
        for (const feature of lacking) missing.add(feature);
      }
    }
    // All of them at once: whoever reads it has to find another kernel.
    if (missing.size > 0) throw lackingError(release(), [...missing]);
  }

  /** libbpf answers EINVAL when a pinned map has another shape than the object's: pins of another version. */
  #refuseOtherAbi(error: Error): void {
    if (logOf(error).includes('parameters mismatch'))
      throw new SluiceError('ABI_MISMATCH', 'pinned maps of another version of Sluice are in force', {
        hint: 'run `sluice uninstall` of that version (agents are ungoverned until this one has started)',
        cause: error,
      });
  }

  #map(name: MapName): NativeMap {
    let map = this.#maps.get(name);
    if (map === undefined) {
      map = new (addon().BpfMap)(pinPaths(this.#options.pinDirectory).map(name));
      this.#maps.set(name, map);
    }
    return map;
  }

  /** Goes on from what a former daemon left: its generation, and ids that never repeat. */
  #adoptPinned(): void {
    const bytes = this.#map('sluice_config').lookup(ONLY_ENTRY);
    if (bytes !== null) {
      const former = decodeConfig(bytes);
      if (former.abi !== 0 && former.abi !== SLUICE_ABI)
        throw new SluiceError(
          'ABI_MISMATCH',
          `the pinned maps have ABI ${former.abi}, this version ${SLUICE_ABI}`,
          {
            hint: 'run `sluice uninstall` of the version that made them',
          },
        );
      this.#config = { ...this.#config, generation: former.generation };
    }
    const next = this.#map('sluice_seq').lookup(ONLY_ENTRY)?.readBigUInt64LE() ?? 0n;
    const start = BigInt(Math.floor(Date.now() / 1000)) << 32n;
    if (next === 0n) this.#map('sluice_seq').update(ONLY_ENTRY, encodeU64(start));
  }

  #writeConfig(change: Partial<KernelConfig>): void {
    this.#config = { ...this.#config, ...change };
    this.#map('sluice_config').update(ONLY_ENTRY, encodeConfig(this.#config));
  }

  /**
   * Opens a listener no agent can be sent to yet: the mark makes it the daemon's, `setProxyPorts` puts it in force.
   *
   * @param netns descriptor of another network namespace to listen in
   */
  listen(
    ip: string,
    port: number,
    backlog: number,
    netns?: number,
  ): { readonly fd: number; readonly port: number } {
    const listener = addon().listenTcp(ip, port, backlog, netns);
    this.#map('sluice_socks').update(encodeU32(listener.fd), encodeListenerSock(this.#mark));
    return listener;
  }

  /** The same for datagrams: the socket of the forwarder, which nobody else can bind beside. */
  listenUdp(ip: string, port: number, netns?: number): { readonly fd: number; readonly port: number } {
    const socket = addon().listenUdp(ip, port, netns);
    this.#map('sluice_socks').update(encodeU32(socket.fd), encodeListenerSock(this.#mark));
    return socket;
  }

  /** Unconnected TCP sockets in another network namespace, for workers to reach servers from there. */
  upstreamSockets(netns: number, family: 4 | 6, count: number): number[] {
    const fds = addon().socketsIn(netns, family, count);
    for (const fd of fds) this.#map('sluice_socks').update(encodeU32(fd), encodeUpstreamSock());
    return fds;
  }

  /**
   * From now on the kernel asks for a listener in each other network namespace it sees an agent in, and holds the
   * connections that would need it: for as long as this process lives.
   */
  serveNamespaces(home: bigint): void {
    for (const key of this.#map('sluice_netns').keys()) this.#map('sluice_netns').delete(key);
    this.#writeConfig({ homeNetns: home });
  }

  get mark(): bigint {
    return this.#mark;
  }

  /** This process may end, and agents may go on connecting to its listeners, until then (CLOCK_BOOTTIME). */
  holdUntil(holdUntilNs: bigint): void {
    this.#writeConfig({ holdUntilNs });
  }

  setNamespace(cookie: bigint, state: NamespaceState, quietUntilNs: bigint): void {
    this.#map('sluice_netns').update(encodeU64(cookie), encodeNamespace(state, quietUntilNs));
  }

  forgetNamespace(cookie: bigint): void {
    this.#map('sluice_netns').delete(encodeU64(cookie));
  }

  /** Processes that are agents and have a tag, by pid. */
  taggedPids(): number[] {
    return this.#map('sluice_tags')
      .keys()
      .map((key) => key.readUInt32LE());
  }

  /** Agents' connections go to all of them in turn: each must have a listener. */
  setProxyPorts(ports: readonly number[]): void {
    this.#writeConfig({ proxyPorts: ports });
  }

  /** Where agents' DNS goes, UDP and TCP, from the next `setEnrolment` with DNS on. */
  setForwarderPort(port: number): void {
    this.#forwarderPort = port;
  }

  /**
   * Puts a new set of agents in force, all at once, and whether they have DNS.
   *
   * @throws SluiceError POLICY when it does not fit the tables beside the set in force, which then stays.
   */
  setEnrolment(tables: EnrolmentTables): void {
    const generation = (this.#config.generation + 1) >>> 0 || 1;
    // What an interrupted attempt may have left under this number.
    this.#sweep((entry) => entry === generation);
    try {
      this.#writeTables(generation, tables);
    } catch (error) {
      this.#sweep((entry) => entry === generation);
      throw fullTable(error) ?? error;
    }
    const has = { hasUids: tables.uids.length > 0, hasExes: tables.exes.length > 0 };
    // A program may read the one field before a write and the other behind it: what either generation has is
    // looked for while they change places.
    const { hasUids, hasExes } = this.#config;
    this.#writeConfig({ hasUids: has.hasUids || hasUids, hasExes: has.hasExes || hasExes });
    this.#writeConfig({ generation });
    this.#writeConfig({ ...has, dnsPort: tables.dns ? this.#forwarderPort : 0 });
    this.#sweep((entry) => entry !== generation);
    this.#releaseFormer(tables);
  }

  #writeTables(generation: number, tables: EnrolmentTables): void {
    for (const entry of buildTrie(tables.cgroups))
      this.#map('sluice_paths').update(
        encodePathKey(generation, entry.parent, entry.name),
        encodePathNode(entry.node, entry.agentId),
      );
    this.#writeGlobs(generation, tables);
    for (const { uid, bits, agentId } of buildUidPrefixes(tables.uids))
      this.#map('sluice_uids').update(encodeUidKey(generation, uid, bits), encodeU32(agentId));
    for (const { inode, dev, agentId } of tables.exes)
      this.#map('sluice_exes').update(encodeExeKey(inode, dev, generation), encodeU32(agentId));
    for (const { directoryInode, dev, name } of tables.places)
      this.#map('sluice_exe_places').update(
        encodeExePlace(directoryInode, dev, generation, name),
        encodeU32(1),
      );
    for (const { inode, dev, id } of tables.closedSockets.files)
      this.#map('sluice_unix_files').update(encodeExeKey(inode, dev, generation), encodeU32(id));
    for (const { directoryInode, dev, name, id } of tables.closedSockets.places)
      this.#map('sluice_unix_places').update(
        encodeExePlace(directoryInode, dev, generation, name),
        encodeU32(id),
      );
    for (const { agentId, ranges } of tables.inbound)
      this.#map('sluice_inbound').update(encodeInboundKey(generation, agentId), encodeInbound(ranges));
  }

  #writeGlobs(generation: number, tables: EnrolmentTables): void {
    const { shapes, agents, sets } = buildGlobs(tables.cgroups);
    if (agents.length === 0) return;
    for (const { level, component, fits, ends } of sets)
      this.#map('sluice_glob_sets').update(
        encodeGlobKey(generation, level, component),
        encodeGlobSet(fits, ends),
      );
    this.#map('sluice_globs').update(encodeU32(generation), encodeGlobs(shapes, agents));
  }

  /** Processes of agents that are no more are found anew, by where and what they are. */
  #releaseFormer(tables: EnrolmentTables): void {
    const agents = new Set([...tables.cgroups, ...tables.exes, ...tables.uids].map(({ agentId }) => agentId));
    const tags = this.#map('sluice_tags');
    for (const key of tags.keys()) {
      const agent = tags.lookup(key)?.readUInt32LE(layout.sluice_tag.fields.agent);
      if (agent !== undefined && !agents.has(agent)) tags.delete(key);
    }
  }

  /**
   * Takes the tag off this process, which may have been started by an agent: its workers must not be agents.
   *
   * @throws SluiceError KERNEL when it was, and there was no room for its tag: that mark goes with the process only.
   */
  untagSelf(): void {
    this.#map('sluice_tags').delete(encodeU32(process.pid));
    const word =
      this.#map('sluice_untagged')
        .lookup(encodeU32(process.pid >>> 6))
        ?.readBigUInt64LE() ?? 0n;
    if (((word >> BigInt(process.pid & 63)) & 1n) === 1n)
      throw new SluiceError(
        'KERNEL',
        'the daemon was started by an agent when the table of processes was full',
        {
          hint: 'start it from outside of all agents',
        },
      );
  }

  #sweep(unwanted: (generation: number) => boolean): void {
    const tables = [
      ['sluice_paths', generationOf.path],
      ['sluice_glob_sets', generationOf.globSet],
      ['sluice_globs', generationOf.glob],
      ['sluice_uids', generationOf.uid],
      ['sluice_exes', generationOf.exe],
      ['sluice_exe_places', generationOf.place],
      ['sluice_unix_files', generationOf.exe],
      ['sluice_unix_places', generationOf.place],
      ['sluice_inbound', generationOf.inbound],
    ] as const;
    for (const [name, of] of tables)
      for (const key of this.#map(name).keys()) if (unwanted(of(key))) this.#map(name).delete(key);
  }

  /** Attaches at the root of the hierarchy, or swaps the program of a pinned link in one step. */
  attach(): void {
    for (const { object, programs } of this.#objects)
      for (const program of programs)
        try {
          object.attach(
            program,
            this.#options.cgroupRoot,
            pinPaths(this.#options.pinDirectory).link(program),
          );
        } catch (error) {
          throw kernelError(`${program} cannot be attached`, error);
        }
  }

  /** Which programs are effective at `cgroup` (default: the root). */
  programs(cgroup: string = this.#options.cgroupRoot): ProgramState[] {
    return programStates(this.#options.pinDirectory, cgroup);
  }

  /** Those of the BPF LSM that are attached. */
  lsmPrograms(): ProgramState[] {
    return lsmStates(this.#options.pinDirectory);
  }

  /** Path of an executable agents have run, as the kernel remembers it. */
  exePath(dev: number, inode: bigint): string | null {
    const bytes = this.#map('sluice_exe_paths').lookup(encodeExeKey(inode, dev, 0));
    return bytes === null ? null : decodeExePath(bytes);
  }

  /** Path of a cgroup below the root, as it was when an agent was in it. */
  cgroupPath(id: bigint): string | null {
    const bytes = this.#map('sluice_cgroup_paths').lookup(encodeU64(id));
    return bytes === null ? null : decodeExePath(bytes);
  }

  /**
   * Flows that wait since before a CLOCK_BOOTTIME: connections under their tuple, DNS datagrams under their ticket.
   * Those that are over are taken out; the others are given, and stay: who looks after them might be killed.
   */
  takeStale(before: StaleBefore, isOver: (facts: FlowFacts) => boolean): FlowFacts[] {
    const stale: FlowFacts[] = [];
    for (const name of ['sluice_tuples', 'sluice_datagrams'] as const) {
      const beforeNs = name === 'sluice_tuples' ? before.connectionsNs : before.datagramsNs;
      const table = this.#map(name);
      for (const key of table.keys()) {
        const value = table.lookup(key);
        const facts = value && decodeFlow(value);
        if (!facts || facts.startNs >= beforeNs) continue;
        if (!isOver(facts)) stale.push(facts);
        else table.delete(key);
      }
    }
    return stale;
  }

  counters(): PlaneCounters {
    const read = (index: number): bigint => sumOf(this.#map('sluice_counters').lookup(encodeU32(index)));
    const refused: Record<string, bigint> = {};
    for (const [reason, number] of Object.entries(reasonNumbers)) refused[reason] = read(2 + number);
    return {
      flowEventsLost: read(0),
      denyEventsLost: read(1),
      refused,
      untagged: read(COUNTER_UNTAGGED),
      unsorted: read(COUNTER_UNSORTED),
      unpublished: read(COUNTER_UNPUBLISHED),
    };
  }

  /** Every refusal there was, by agent and technique. */
  denials(): Denials[] {
    const counts = this.#map('sluice_denied');
    return counts.keys().map((key) => {
      const { agentId, technique } = decodeDeniedKey(key);
      return { agentId, technique: techniqueOf(technique), count: sumOf(counts.lookup(key)) };
    });
  }

  /** Lets go of the objects and maps; what is pinned stays in force. */
  close(): void {
    for (const map of this.#maps.values()) map.close();
    this.#maps.clear();
    for (const { object } of this.#objects) object.close();
    this.#objects.length = 0;
  }
}
