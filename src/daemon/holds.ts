/**
 * What waits for somebody's answer, in all workers: the list people see, and the way of their answers. It lives and ends with
 * the daemon: workers deny what waits when it goes. What a worker says of a hold is a claim, shown as such and no more.
 */
import { randomBytes } from 'node:crypto';
import type { HoldStatus } from '../api/types.ts';
import { HELD_LIST_MAX, HELD_TEXT_MAX_CHARS, type Held } from '../flow/hold.ts';
import type { DaemonMessage, HeldMessage } from '../proxy/ipc.ts';

/** No worker that is well has more (src/proxy/hold-desk.ts). */
const HOLDS_PER_WORKER_MAX = 256;
/** Process and 256 bytes of key, in hex. */
const CANCEL_KEY_MAX_CHARS = 520;
const TIMEOUT_MAX_MS = 3_600_000;
const AGENT_MAX_CHARS = 63;

type Claim = Readonly<Record<string, unknown>>;

interface Hold {
  /** The process it waits in, which numbers it `hold`. */
  readonly key: number;
  readonly hold: number;
  readonly cancelKey: string | null;
  readonly status: HoldStatus;
}

export class Holds {
  readonly #send: (key: number, message: DaemonMessage) => void;
  readonly #log: (line: string) => void;
  readonly #holds = new Map<string, Hold>();

  constructor(send: (key: number, message: DaemonMessage) => void, log: (line: string) => void) {
    this.#send = send;
    this.#log = log;
  }

  /** Oldest first. */
  list(): HoldStatus[] {
    return [...this.#holds.values()].map(({ status }) => status);
  }

  /** Gives an answer; null when nothing waits under that id, or not any more. */
  answer(id: string, approved: boolean, reason: string | null): HoldStatus | null {
    const found = this.#holds.get(id);
    if (found === undefined) return null;
    this.#holds.delete(id);
    const { key, hold, status } = found;
    this.#send(key, { type: 'hold-answer', hold, approved, reason });
    this.#log(`${described(status)} was ${approved ? 'approved' : 'denied'}`);
    return status;
  }

  /** Whether the message of the worker with this key was about holds. */
  heard(key: number, claim: Claim): boolean {
    if (isHeld(claim)) this.#add(key, claim);
    else if (claim['type'] === 'released') this.#release(key, claim['hold']);
    else if (claim['type'] === 'cancel-held') this.#cancel(key, claim['key']);
    else return false;
    return true;
  }

  /** The worker with this key is gone, and its flows with it. */
  ended(key: number): void {
    for (const [id, hold] of [...this.#holds]) if (hold.key === key) this.#holds.delete(id);
  }

  #add(key: number, { hold, held, cancelKey }: HeldMessage): void {
    const ofWorker = [...this.#holds.values()].filter((other) => other.key === key);
    if (ofWorker.length >= HOLDS_PER_WORKER_MAX || ofWorker.some((other) => other.hold === hold)) return;
    const id = this.#newId();
    const now = Date.now();
    const { flow, agent, rules, verbs, objects, more, timeoutMs } = held;
    const since = new Date(now).toISOString();
    const until = new Date(now + timeoutMs).toISOString();
    const status: HoldStatus = { id, agent, flow, rules, verbs, objects, more, since, until };
    this.#holds.set(id, { key, hold, cancelKey, status });
    this.#log(`${described(status)} waits for an answer: sluice holds`);
  }

  /** Random, so that an id somebody has read off an earlier list never means another hold, of another daemon neither. */
  #newId(): string {
    for (;;) {
      const id = randomBytes(5).toString('hex');
      if (!this.#holds.has(id)) return id;
    }
  }

  #release(key: number, hold: unknown): void {
    for (const [id, other] of this.#holds)
      if (other.key === key && other.hold === hold) {
        this.#holds.delete(id);
        return;
      }
  }

  #cancel(from: number, cancelKey: unknown): void {
    if (typeof cancelKey !== 'string') return;
    const waiting = [...this.#holds.values()].filter((hold) => hold.cancelKey === cancelKey);
    for (const { key } of waiting) if (key !== from) this.#send(key, { type: 'cancel-held', key: cancelKey });
  }
}

function described({ id, agent, verbs, rules }: HoldStatus): string {
  return `hold ${id} (${verbs.join(', ')} by ${agent ?? 'an unknown agent'}, rule ${rules.join(', ')})`;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
const isText = (value: unknown, max: number): value is string =>
  typeof value === 'string' && value.length <= max;
const isList = (value: unknown): value is string[] =>
  Array.isArray(value) &&
  value.length <= HELD_LIST_MAX &&
  value.every((item) => isText(item, HELD_TEXT_MAX_CHARS));

function isHeld(claim: Claim): claim is Claim & HeldMessage {
  const { type, hold, held, cancelKey } = claim;
  const keyed = cancelKey === null || isText(cancelKey, CANCEL_KEY_MAX_CHARS);
  return type === 'held' && isCount(hold) && keyed && isDescribed(held);
}

function isDescribed(held: unknown): held is Held {
  if (typeof held !== 'object' || held === null) return false;
  const { flow, agent, rules, verbs, objects, more, timeoutMs }: Partial<Record<keyof Held, unknown>> = held;
  return (
    isText(flow, 16) &&
    /^[0-9a-f]{16}$/.test(flow) &&
    (agent === null || isText(agent, AGENT_MAX_CHARS)) &&
    isList(rules) &&
    isList(verbs) &&
    isList(objects) &&
    isCount(more) &&
    isCount(timeoutMs) &&
    timeoutMs <= TIMEOUT_MAX_MS
  );
}
