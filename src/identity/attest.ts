/**
 * Attestation: from the facts the kernel put on a flow to who that was.
 *
 * Everything here happens beside the flow, never before it: decisions need no more than the facts. So attestation
 * may be incomplete (the process is gone, its executable too), in which case the record says less; it may never be
 * wrong. It does not reject and does not wait without bound.
 *
 * What was learned of a process is remembered under pid, start time, executable and cgroup: a process that
 * runs another program, moves, or merely has the same number is another entry. Names that may change while it
 * runs (accounts, groups, SPIFFE template) are looked up anew each time.
 */
import { hostname } from 'node:os';
import { BoundedMap } from '../core/bounded-map.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import type { FlowFacts } from '../kernel/facts.ts';
import { BootClock } from './boot-clock.ts';
import { CgroupPaths } from './cgroup.ts';
import { type ExeFinder, leadsTo, type OpenExe, openExe } from './exe.ts';
import { type FileDigest, FileHasher } from './file-hasher.ts';
import { isSameProcess } from './process.ts';
import { formatSpiffeId } from './spiffe.ts';
import { systemdSelectors } from './systemd/selectors.ts';
import { parseSystemdPlace, type SystemdPlace, unitText } from './systemd/unit.ts';
import { Accounts } from './unix/accounts.ts';
import { unixSelectors } from './unix/selectors.ts';

/** Processes remembered; about a kilobyte each. */
const MAX_CACHED = 8_192;
/** Processes looked at side by side: each read of /proc takes a turn of libuv's four threads. */
const MAX_RUNNING = 32;
/** Processes waiting for their turn; beyond it a flow is recorded with what the kernel said. */
const MAX_WAITING = 16_384;
/** How long account names and the SPIFFE ID of a process are said again before they are looked up anew. */
const RECENT_MS = 5_000;
/** How long one attestation waits for a digest; the digest itself goes on and is there for the next flow. */
const HASH_WAIT_MS = 1_500;

export interface Attested {
  readonly exe: string | null;
  /** Hex. */
  readonly exeSha256: string | null;
  /** Path below the cgroup v2 mount. */
  readonly cgroup: string | null;
  readonly unit: string | null;
  /** RFC 3339. */
  readonly startedAt: string | null;
  readonly spiffeId: string | null;
  readonly selectors: readonly string[];
  readonly groups: readonly string[];
}

/** The part of the policy identity needs; a `CompiledPolicy` is one. */
export interface IdentityPolicy {
  readonly trustDomain: string;
  readonly spiffeTemplate: string;
  readonly agents: readonly {
    readonly id: number;
    readonly name: string;
    readonly groups: readonly string[];
  }[];
}

export interface AttestorOptions {
  /** Where the cgroup v2 hierarchy is mounted. */
  readonly cgroupRoot: string;
  /** The policy in force, asked at each attestation. */
  readonly policy: () => IdentityPolicy;
  readonly procRoot?: string;
  readonly etcRoot?: string;
  /** A path the kernel plane remembers for an executable; verified before it is believed. */
  readonly exePathHint?: (dev: number, inode: bigint) => string | null;
  /** The path the kernel plane saw a cgroup under, which may be gone. */
  readonly cgroupPathHint?: (id: bigint) => string | null;
  readonly bootClock?: BootClock;
  readonly clock?: Clock;
  readonly hostName?: string;
  readonly hashWaitMs?: number;
}

/** What does not change while a process runs one program in one cgroup. */
interface ProcessFacts {
  readonly exe: Pick<OpenExe, 'path' | 'pathVerified' | 'stat'> | null;
  readonly sha256: string | null;
  readonly cgroup: string | null;
  readonly systemd: SystemdPlace | null;
  /** Nothing more can be learned by looking again. */
  readonly complete: boolean;
}

const NOTHING_KNOWN: ProcessFacts = { exe: null, sha256: null, cgroup: null, systemd: null, complete: false };

function processKey({ pid, taskStartNs, exeDev, exeInode, cgroupId }: FlowFacts): string {
  return `${pid}:${taskStartNs}:${exeDev}:${exeInode}:${cgroupId}`;
}

/** One attestation whole, for the many connections of one process. */
interface Recent {
  readonly attested: Attested;
  readonly policy: IdentityPolicy;
  readonly atMs: number;
}

export interface AttestorCounters {
  readonly cached: number;
  /** Attested with less than everything. */
  readonly incomplete: number;
  /** Not looked at because too many were waiting. */
  readonly skipped: number;
}

export class Attestor {
  readonly cgroups: CgroupPaths;
  readonly #options: AttestorOptions;
  readonly #boot: BootClock;
  readonly #accounts: Accounts;
  readonly #hasher: FileHasher;
  readonly #finder: ExeFinder;
  readonly #hostName: string;
  readonly #cache = new BoundedMap<string, ProcessFacts>(MAX_CACHED);
  readonly #recent = new BoundedMap<string, Recent>(MAX_CACHED);
  readonly #clock: Clock;
  readonly #inFlight = new Map<string, Promise<ProcessFacts>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #counters = { cached: 0, incomplete: 0, skipped: 0 };

  constructor(options: AttestorOptions) {
    const clock = options.clock ?? systemClock;
    const procRoot = options.procRoot ?? '/proc';
    const boot = options.bootClock ?? new BootClock({ clock });
    this.#options = options;
    this.#clock = clock;
    this.#boot = boot;
    this.#hostName = options.hostName ?? hostname();
    this.#accounts = new Accounts(options.etcRoot ?? '/etc', clock);
    this.#hasher = new FileHasher({ clock });
    const { cgroupRoot, cgroupPathHint } = options;
    this.cgroups = new CgroupPaths({
      procRoot,
      cgroupRoot,
      clock,
      ...(cgroupPathHint === undefined ? {} : { hint: cgroupPathHint }),
    });
    this.#finder = {
      procRoot,
      isSameProcess: (pid, taskStartNs) => isSameProcess(procRoot, pid, taskStartNs),
      pathHint: options.exePathHint ?? (() => null),
      epochMs: (bootNs) => boot.epochMs(bootNs),
    };
  }

  counters(): AttestorCounters {
    return { ...this.#counters };
  }

  /** Never rejects; what could not be learned is null. */
  async attest(facts: FlowFacts): Promise<Attested> {
    const policy = this.#options.policy();
    const nowMs = this.#clock.monotonic();
    const key = `${processKey(facts)}:${facts.uid}:${facts.gid}:${facts.agentId}`;
    const recent = this.#recent.get(key);
    if (recent !== undefined && recent.policy === policy && nowMs - recent.atMs < RECENT_MS) {
      this.#counters.cached++;
      return recent.attested;
    }
    const known = await this.#processFacts(facts).catch(() => NOTHING_KNOWN);
    const attested = await this.#describe(facts, known);
    if (known.complete) this.#recent.set(key, { attested, policy, atMs: nowMs });
    return attested;
  }

  async #describe(facts: FlowFacts, known: ProcessFacts): Promise<Attested> {
    const [user, group] = await Promise.all([
      this.#accounts.user(facts.uid),
      this.#accounts.group(facts.gid),
    ]);
    const path = await this.#pathNow(known);
    const agent = this.#agent(facts.agentId);
    return {
      exe: known.exe?.path ?? null,
      exeSha256: known.sha256,
      cgroup: known.cgroup,
      unit: known.systemd === null ? null : unitText(known.systemd),
      startedAt: this.#boot.rfc3339(facts.taskStartNs),
      spiffeId: this.#spiffeId(facts, known, path, agent?.name ?? null),
      selectors: [
        ...unixSelectors({ uid: facts.uid, gid: facts.gid, user, group, path, sha256: known.sha256 }),
        ...(known.systemd === null ? [] : systemdSelectors(known.systemd)),
      ],
      groups: agent?.groups ?? [],
    };
  }

  /** The path of the executable, if it still leads there: a file may be replaced while it runs. */
  async #pathNow({ exe }: ProcessFacts): Promise<string | null> {
    if (exe === null || exe.path === null || !exe.pathVerified) return null;
    return (await leadsTo(exe.path, exe.stat)) ? exe.path : null;
  }

  #agent(id: number): IdentityPolicy['agents'][number] | null {
    return this.#options.policy().agents.find((agent) => agent.id === id) ?? null;
  }

  #spiffeId(facts: FlowFacts, known: ProcessFacts, path: string | null, agent: string | null): string | null {
    const { spiffeTemplate, trustDomain } = this.#options.policy();
    return formatSpiffeId(spiffeTemplate, {
      trust_domain: trustDomain,
      host: this.#hostName,
      agent,
      uid: String(facts.uid),
      unit: known.systemd === null ? null : unitText(known.systemd),
      exe: path,
    });
  }

  #processFacts(facts: FlowFacts): Promise<ProcessFacts> {
    const key = processKey(facts);
    const cached = this.#cache.get(key);
    if (cached !== undefined) {
      this.#counters.cached++;
      return Promise.resolve(cached);
    }
    const inFlight = this.#inFlight.get(key);
    if (inFlight !== undefined) return inFlight;
    if (this.#waiting.length >= MAX_WAITING) {
      this.#counters.skipped++;
      return Promise.resolve(NOTHING_KNOWN);
    }
    const job = this.#look(facts, key).finally(() => this.#inFlight.delete(key));
    this.#inFlight.set(key, job);
    return job;
  }

  async #look(facts: FlowFacts, key: string): Promise<ProcessFacts> {
    await this.#enter();
    let exe: OpenExe | null;
    let cgroup: string | null;
    try {
      [exe, cgroup] = await Promise.all([
        openExe(this.#finder, facts),
        this.cgroups.resolve(facts.cgroupId, facts.pid),
      ]);
    } finally {
      this.#leave();
    }
    const digest: FileDigest = exe === null ? { sha256: null, final: false } : await this.#digestInTime(exe);
    const found: ProcessFacts = {
      exe: exe === null ? null : { path: exe.path, pathVerified: exe.pathVerified, stat: exe.stat },
      sha256: digest.sha256,
      cgroup,
      systemd: cgroup === null ? null : parseSystemdPlace(cgroup),
      complete: exe !== null && digest.final && cgroup !== null,
    };
    // What is incomplete may be complete the next time: a digest ready, a cgroup seen.
    if (found.complete) this.#cache.set(key, found);
    else this.#counters.incomplete++;
    return found;
  }

  async #digestInTime(exe: OpenExe): Promise<FileDigest> {
    const late = Promise.withResolvers<FileDigest>();
    const timer = setTimeout(
      () => late.resolve({ sha256: null, final: false }),
      this.#options.hashWaitMs ?? HASH_WAIT_MS,
    );
    try {
      return await Promise.race([this.#hasher.digest(exe.handle, exe.stat), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #enter(): Promise<void> {
    if (this.#running >= MAX_RUNNING) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
  }

  /** Hands its turn to the next in line, or gives it back. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}
