/**
 * What waits for somebody's answer, in all workers: the list people see, and the way of their answers. It lives and ends with
 * the daemon: workers deny what waits when it goes. What a worker says of a hold is a claim, shown as such and no more.
 */
import { randomBytes } from 'node:crypto';
import type { HoldCounts, HoldStatus } from '../api/types.ts';
import { type Claim, is, isCount, isFlowId, isText, listOf, orNull, shape } from '../core/claim.ts';
import {
  type Answerer,
  HELD_LIST_MAX,
  HELD_TEXT_MAX_CHARS,
  type Held,
  HOLD_OUTCOMES,
  type HoldOutcome,
  SHOWN_MAX_CHARS,
  SHOWN_TEXTS_MAX,
  type ShownText,
} from '../flow/hold.ts';
import type { DaemonMessage, HeldMessage, ReleasedMessage } from '../proxy/ipc.ts';

/** No worker that is well has more (src/proxy/hold-desk.ts). */
const HOLDS_PER_WORKER_MAX = 256;
const TIMEOUT_MAX_MS = 3_600_000;
const AGENT_MAX_CHARS = 63;

interface Hold {
  /** The process it waits in, which numbers it `hold`. */
  readonly key: number;
  readonly hold: number;
  /** On the clock. */
  readonly sinceMs: number;
  readonly status: HoldStatus;
}

export interface Answer {
  readonly approved: boolean;
  readonly reason: string | null;
  readonly by: Answerer;
}

/** What a worker of an earlier version says has no outcome. */
type Released = Omit<ReleasedMessage, 'outcome'> & { readonly outcome: HoldOutcome | undefined };

export class Holds {
  readonly #send: (key: number, message: DaemonMessage) => void;
  readonly #log: (line: string) => void;
  readonly #holds = new Map<string, Hold>();
  readonly #followers = new Set<(hold: HoldStatus) => void>();
  readonly #ended = new Map(
    HOLD_OUTCOMES.filter((outcome) => outcome !== 'refused').map((outcome) => [
      outcome as HoldOutcome,
      { outcome: outcome as HoldOutcome, count: 0, seconds: 0 },
    ]),
  );

  constructor(send: (key: number, message: DaemonMessage) => void, log: (line: string) => void) {
    this.#send = send;
    this.#log = log;
  }

  /** Oldest first. */
  list(): HoldStatus[] {
    return [...this.#holds.values()].map(({ status }) => status);
  }

  /** What waits, and what has come of the rest. */
  counts(): HoldCounts {
    const since = [...this.#holds.values()].map(({ sinceMs }) => sinceMs);
    const oldestSeconds = since.length === 0 ? null : (Date.now() - Math.min(...since)) / 1_000;
    return {
      waiting: since.length,
      oldestSeconds,
      ended: [...this.#ended.values()].map((one) => ({ ...one })),
    };
  }

  /** Calls `listener` with whatever begins to wait from now on; returns what ends that. */
  onHold(listener: (hold: HoldStatus) => void): () => void {
    this.#followers.add(listener);
    return () => this.#followers.delete(listener);
  }

  /** Gives an answer; null when nothing waits under that id, or not any more. */
  answer(id: string, answer: Answer): HoldStatus | null {
    const found = this.#holds.get(id);
    if (found === undefined) return null;
    const { approved, reason, by } = answer;
    const { key, hold, status } = found;
    const waitedMs = this.#end(id, found, approved ? 'approved' : 'denied');
    this.#send(key, { type: 'hold-answer', hold, approved, reason, by });
    const verdict = `was ${approved ? 'approved' : 'denied'} by ${nameOf(by)}`;
    const after = `after ${Math.round(waitedMs / 1_000)} s`;
    this.#say(`${described(status)} ${verdict} ${after}${reason === null ? '' : `: ${reason}`}`);
    return status;
  }

  /** Whether the message of the worker with this key was about holds. */
  heard(key: number, claim: Claim): boolean {
    if (isHeld(claim)) this.#add(key, claim);
    else if (isReleased(claim)) this.#release(key, claim);
    else return false;
    return true;
  }

  /** The worker with this key is gone, and its flows with it. */
  ended(key: number): void {
    for (const [id, hold] of [...this.#holds]) if (hold.key === key) this.#end(id, hold, 'withdrawn');
  }

  #add(key: number, { hold, held }: HeldMessage): void {
    const ofWorker = [...this.#holds.values()].filter((other) => other.key === key);
    if (ofWorker.length >= HOLDS_PER_WORKER_MAX || ofWorker.some((other) => other.hold === hold)) return;
    const id = this.#newId();
    const now = Date.now();
    const { flow, agent, rules, verbs, objects, values, more, timeoutMs } = held;
    const texts = held.texts.map(({ text, bytes }) => ({ text, bytes }));
    const since = new Date(now).toISOString();
    const until = new Date(now + timeoutMs).toISOString();
    const status: HoldStatus = {
      id,
      agent,
      flow,
      rules,
      verbs,
      objects,
      texts,
      values,
      more,
      since,
      until,
    };
    this.#holds.set(id, { key, hold, sinceMs: now, status });
    this.#say(`${described(status)} waits for an answer: sluice holds`);
    for (const follower of this.#followers) follower(status);
  }

  #end(id: string, { sinceMs }: Hold, outcome: HoldOutcome): number {
    this.#holds.delete(id);
    const waitedMs = Math.max(0, Date.now() - sinceMs);
    const ended = this.#ended.get(outcome);
    if (ended !== undefined) {
      ended.count += 1;
      ended.seconds += waitedMs / 1_000;
    }
    return waitedMs;
  }

  /** Names are workers' claims, and reasons anybody's: neither may begin a line of its own. */
  #say(line: string): void {
    this.#log(line.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?'));
  }

  /** Random, so that an id somebody has read off an earlier list never means another hold, of another daemon neither. */
  #newId(): string {
    for (;;) {
      const id = randomBytes(5).toString('hex');
      if (!this.#holds.has(id)) return id;
    }
  }

  #release(key: number, { hold, outcome }: Released): void {
    for (const [id, other] of this.#holds) {
      if (other.key !== key || other.hold !== hold) continue;
      this.#end(id, other, outcome ?? 'withdrawn');
      if (outcome !== undefined) this.#say(`${described(other.status)} has ended: ${outcome}`);
      return;
    }
  }
}

function nameOf({ uid, user, login }: Answerer): string {
  const name = user === null ? `uid ${uid}` : `${user} (uid ${uid})`;
  return login === null || login === user ? name : `${name}, logged in as ${login}`;
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
    texts: listOf(
      shape<ShownText>({ text: orNull(isText(SHOWN_MAX_CHARS)), bytes: isCount }),
      SHOWN_TEXTS_MAX,
    ),
    values: isList,
    more: isCount,
    timeoutMs: (value) => isCount(value) && value <= TIMEOUT_MAX_MS,
  }),
});

const OUTCOME_NAMES: ReadonlySet<unknown> = new Set(HOLD_OUTCOMES);
const isReleased = shape<Released>({
  type: is('released'),
  hold: isCount,
  outcome: (value) => value === undefined || OUTCOME_NAMES.has(value),
});
