/**
 * What the maps of another ABI hold, and how it comes into those of this one. What programs ask for at any time is
 * moved in the kernel (bpf/migrate); here is the rest, which nobody misses for a moment, and what was counted and told.
 */
import { existsSync } from 'node:fs';
import { addon, type NativeMap, type NativeObject, type NativeShape, type NativeStruct } from '../addon.ts';
import { decodeDeniedKey, encodeU32, layout } from '../layout.ts';
import { counterNow, encodePlan, type Move, movesBetween, notMigratable, translate } from './plan.ts';

/**
 * Every map: `anew`, the daemon fills it, or it is a cache; `moved`, by programs, at first use; `copied`, by key;
 * `counted`, added up; `told`, its events are given again; `shared`, it is the same in both.
 */
export const MAPS: Readonly<Record<string, 'anew' | 'moved' | 'copied' | 'counted' | 'told' | 'shared'>> = {
  sluice_config: 'anew',
  sluice_seq: 'shared',
  sluice_socks: 'moved',
  sluice_tuples: 'moved',
  sluice_paths: 'anew',
  sluice_cgroups: 'anew',
  sluice_glob_sets: 'anew',
  sluice_globs: 'anew',
  sluice_uids: 'anew',
  sluice_exes: 'anew',
  sluice_exe_places: 'anew',
  sluice_unix_files: 'anew',
  sluice_unix_places: 'anew',
  sluice_tags: 'moved',
  sluice_untagged: 'moved',
  sluice_datagrams: 'moved',
  sluice_exe_paths: 'copied',
  sluice_cgroup_paths: 'copied',
  sluice_ring_flow: 'told',
  sluice_ring_deny: 'told',
  sluice_netns: 'anew',
  sluice_ring_netns: 'anew',
  sluice_denied: 'counted',
  sluice_told: 'copied',
  sluice_inbound: 'anew',
  sluice_peers: 'copied',
  sluice_counters: 'counted',
};

/** Tables that the kernel's programs read of the former version: what must be in them to be understood. */
const SOCK_FIELDS = [
  ...['flow.id', 'flow.agent', 'flow.daddr', 'flow.dport', 'flow.protocol', 'mark', 'role', 'state'],
  ...['tuple.netns_cookie', 'tuple.saddr', 'tuple.sport', 'tuple.dport'],
];
const FLOW_FIELDS = ['id', 'agent', 'daddr', 'dport', 'netns_cookie'];
const TAG_FIELDS = ['task_start_ns', 'agent', 'why', 'flags'];
const TUPLE_FIELDS = ['netns_cookie', 'saddr', 'sport', 'dport'];
const EVENT_FIELDS = ['kind', 'reason', 'time_ns', 'flow.id', 'flow.agent'];

/** SLUICE_FORMER_KEY_MAX. */
const KEY_MAX = 48;
/** Index into `sluice_plans`: enum sluice_plan_number. */
const PLAN = { sock: 0, flow: 1, tag: 2, tupleBack: 3 } as const;

export class Copy {
  readonly #former: string;
  readonly #next: string;
  readonly #maps: NativeMap[] = [];

  /** Directories of maps. */
  constructor(former: string, next: string) {
    this.#former = former;
    this.#next = next;
  }

  /** What the former maps are called in bpf/lib/former.h and bpf/migrate/move.bpf.c. */
  get pins(): Readonly<Record<string, string>> {
    const names = ['socks', 'tuples', 'datagrams', 'tags', 'untagged', 'counters', 'denied'];
    return Object.fromEntries(names.map((name) => [`former_${name}`, `${this.#former}/sluice_${name}`]));
  }

  /** Says to the programs where everything was. @throws SluiceError ABI_MISMATCH */
  writePlans(): void {
    const socks = this.#shapes('sluice_socks');
    const tuples = this.#shapes('sluice_tuples');
    const tags = this.#shapes('sluice_tags');
    const denied = this.#shapes('sluice_denied');
    const keys = [tags, this.#shapes('sluice_datagrams')].map(({ former }) => former.keySize);
    if (
      keys.some((size) => size !== 4) ||
      Math.max(tuples.former.keySize, denied.former.keySize) > KEY_MAX ||
      this.#shapes('sluice_untagged').former.valueSize !== 8
    )
      throw notMigratable('keys of its tables are not understood');
    const plans = this.#open(`${this.#next}/sluice_plans`);
    const write = (number: number, what: string, moves: readonly Move[]): void =>
      plans.update(encodeU32(number), encodePlan(what, moves));
    write(PLAN.sock, 'a socket', valueMoves('a socket', socks, SOCK_FIELDS));
    write(PLAN.flow, 'a flow', valueMoves('a flow', tuples, FLOW_FIELDS));
    write(PLAN.tag, 'a process', valueMoves('a process', tags, TAG_FIELDS));
    const back = movesBetween('a connection', tuples.next.key, tuples.former.key, TUPLE_FIELDS);
    write(PLAN.tupleBack, 'a connection', back);
  }

  /** What is not there yet. Harmless at any time: programs that are not in force do not ask. */
  copyTables(): void {
    for (const [name, how] of Object.entries(MAPS)) if (how === 'copied') this.#copy(name, false);
  }

  /** Connections and datagrams that nobody has asked for yet. */
  moveWaiting(): void {
    for (const name of ['sluice_tuples', 'sluice_datagrams']) this.#copy(name, true);
  }

  #copy(name: string, take: boolean): void {
    // A table that the former version did not have.
    if (!existsSync(`${this.#former}/${name}`)) return;
    const shapes = this.#shapes(name);
    const keyMoves = movesBetween(name, shapes.former.key, shapes.next.key);
    const valueMoves = movesBetween(name, shapes.former.value, shapes.next.value);
    const former = this.#open(`${this.#former}/${name}`);
    const next = this.#open(`${this.#next}/${name}`);
    for (const oldKey of former.keys()) {
      const oldValue = former.lookup(oldKey);
      // Who takes it out owns it: a program may be about to.
      if (oldValue === null || (take && !former.delete(oldKey))) continue;
      const key = translate(keyMoves, oldKey, shapes.next.keySize);
      if (next.lookup(key) === null) next.update(key, translate(valueMoves, oldValue, shapes.next.valueSize));
    }
  }

  /** What was counted is added to what is; when nobody counts in the former maps any more. */
  moveCounts(mover: NativeObject): void {
    const counters = this.#shapes('sluice_counters');
    for (let from = 0; from < counters.former.maxEntries; from += 1) {
      const to = counterNow(from, counters.former.maxEntries, counters.next.maxEntries);
      mover.run('sluice_move_count', Buffer.concat([encodeU32(from), encodeU32(to)]));
    }
    const denied = this.#shapes('sluice_denied');
    const moves = movesBetween('refusals', denied.former.key, denied.next.key, ['agent', 'technique']);
    const former = this.#open(`${this.#former}/sluice_denied`);
    for (const oldKey of former.keys()) {
      const { agentId, technique } = decodeDeniedKey(translate(moves, oldKey, denied.next.keySize));
      const from = Buffer.concat([oldKey, Buffer.alloc(KEY_MAX - oldKey.length)]);
      mover.run('sluice_move_refusals', Buffer.concat([encodeU32(agentId), encodeU32(technique), from]));
    }
  }

  /**
   * Events nobody has read, or that were held, in their former rings. An event may be given twice, when this is cut
   * short; its flow has one record all the same.
   *
   * @param former `struct sluice_event` as it was
   * @returns how many there was no room for
   */
  moveEvents(mover: NativeObject, former: NativeStruct | null, present: NativeStruct | null): number {
    const moves = movesBetween('events', former, present, EVENT_FIELDS);
    let lost = 0;
    for (const [ring, program] of [
      ['sluice_ring_flow', 'sluice_move_flow_event'],
      ['sluice_ring_deny', 'sluice_move_deny_event'],
    ] as const) {
      const size = former?.size ?? 0;
      const reader = new (addon().Ring)(`${this.#former}/${ring}`, size, 0, () => undefined);
      const bytes = reader.consume();
      for (let at = 0; at < bytes.length; at += size) {
        const event = translate(moves, bytes.subarray(at, at + size), layout.sluice_event.size);
        if (mover.run(program, event) !== 0) lost += 1;
      }
      reader.commit(bytes.length / size);
      reader.close();
    }
    return lost;
  }

  #shapes(name: string): Shapes {
    return {
      former: addon().mapShape(`${this.#former}/${name}`),
      next: addon().mapShape(`${this.#next}/${name}`),
    };
  }

  #open(pin: string): NativeMap {
    const map = new (addon().BpfMap)(pin);
    this.#maps.push(map);
    return map;
  }

  close(): void {
    for (const map of this.#maps.splice(0)) map.close();
  }
}

interface Shapes {
  readonly former: NativeShape;
  readonly next: NativeShape;
}

function valueMoves(what: string, { former, next }: Shapes, needed: readonly string[]): Move[] {
  return movesBetween(what, former.value, next.value, needed);
}
