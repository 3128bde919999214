/**
 * What waits for somebody's answer, in all workers: the list people see, and the way of their answers. It lives and ends with
 * the daemon: workers deny what waits when it goes. What a worker says of a hold is a claim, shown as such and no more.
 */
import { randomBytes } from 'node:crypto';
import type { HoldStatus } from '../api/types.ts';
import { type Claim, is, isCount, isFlowId, isText, listOf, orNull, shape } from '../core/claim.ts';
import { HELD_LIST_MAX, HELD_TEXT_MAX_CHARS, type Held } from '../flow/hold.ts';
import type { DaemonMessage, HeldMessage, ReleasedMessage } from '../proxy/ipc.ts';

/** No worker that is well has more (src/proxy/hold-desk.ts). */
const HOLDS_PER_WORKER_MAX = 256;
const TIMEOUT_MAX_MS = 3_600_000;
const AGENT_MAX_CHARS = 63;

interface Hold {
  /** The process it waits in, which numbers it `hold`. */
  readonly key: number;
  readonly hold: number;
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
    else if (isReleased(claim)) this.#release(key, claim.hold);
    else return false;
    return true;
  }

  /** The worker with this key is gone, and its flows with it. */
  ended(key: number): void {
    for (const [id, hold] of [...this.#holds]) if (hold.key === key) this.#holds.delete(id);
  }

  #add(key: number, { hold, held }: HeldMessage): void {
    const ofWorker = [...this.#holds.values()].filter((other) => other.key === key);
    if (ofWorker.length >= HOLDS_PER_WORKER_MAX || ofWorker.some((other) => other.hold === hold)) return;
    const id = this.#newId();
    const now = Date.now();
    const { flow, agent, rules, verbs, objects, more, timeoutMs } = held;
    const since = new Date(now).toISOString();
    const until = new Date(now + timeoutMs).toISOString();
    const status: HoldStatus = { id, agent, flow, rules, verbs, objects, more, since, until };
    this.#holds.set(id, { key, hold, status });
    this.#log(`${described(status)} waits for an answer: sluice holds`);
  }

  /** Random, so that an id somebody has read off an earlier list never means another hold, of another daemon neither. */
  #newId(): string {
    for (;;) {
      const id = randomBytes(5).toString('hex');
      if (!this.#holds.has(id)) return id;
    }
  }

  #release(key: number, hold: number): void {
    for (const [id, other] of this.#holds)
      if (other.key === key && other.hold === hold) {
        this.#holds.delete(id);
        return;
      }
  }
}

function described({ id, agent, verbs, rules }: HoldStatus): string {
  return `hold ${id} (${verbs.join(', ')} by ${agent ?? 'an unknown agent'}, rule ${rules.join(', ')})`;
}

const isList = listOf(isText(HELD_TEXT_MAX_CHARS), HELD_LIST_MAX);

const isHeld = shape<HeldMessage>({
  type: is('held'),
  hold: isCount,
  held: shape<Held>({
    flow: isFlowId,
    agent: orNull(isText(AGENT_MAX_CHARS)),
    rules: isList,
    verbs: isList,
    objects: isList,
    more: isCount,
    timeoutMs: (value) => isCount(value) && value <= TIMEOUT_MAX_MS,
  }),
});

const isReleased = shape<ReleasedMessage>({ type: is('released'), hold: isCount });
