/**
 * What waits for somebody's answer, in all workers: the list people see, the way of their answers, and how much may wait on this host.
 * It lives and ends with the daemon: workers tell the next one of what waits, which then waits there under another id. What a worker says of a hold is a claim, shown as such and
 * no more; whose the flow is that it names, the kernel has said.
 *
 * An answer is good when the worker has said that it took it: what waits may end while the answer is on its way, and who answers is
 * told what became of it and not what they wanted. So one that was given stands, and no other is taken.
 */
import { randomBytes } from 'node:crypto';
import { ApiError } from '../api/errors.ts';
import type { HoldCounts, HoldStatus } from '../api/types.ts';
import type { Claim } from '../core/claim.ts';
import type { Answerer, HoldOutcome } from '../flow/hold.ts';
import { whyNoRoom } from '../flow/hold-room.ts';
import type { DaemonMessage } from '../proxy/ipc.ts';
import { EndedHolds } from './ended-holds.ts';
import { type HeldClaim, isHeld, isHoldsRefused, isReleased, type Released } from './hold-claims.ts';
import { HoldLog } from './hold-log.ts';

/** Less than clients of the API wait. */
const TAKEN_TIMEOUT_MS = 8_000;

export interface Answer {
  readonly approved: boolean;
  readonly reason: string | null;
  readonly by: Answerer;
}

interface Given {
  readonly answer: Answer;
  /** Told what became of the hold, and the same in words. */
  readonly onEnd: (outcome: HoldOutcome, words: string) => void;
}

interface Hold {
  /** The process it waits in, which numbers it `hold`. */
  readonly key: number;
  readonly hold: number;
  /** On the clock. */
  readonly sinceMs: number;
  readonly status: HoldStatus;
  /** The log has said that it waits. */
  readonly isTold: boolean;
  /** On its way to the worker; null: nobody has answered. */
  given: Given | null;
}

export class Holds {
  readonly #send: (key: number, message: DaemonMessage) => void;
  readonly #log: HoldLog;
  /** That there is no room is told beside what waits, however much that is. */
  readonly #fullLog: HoldLog;
  readonly #agentOf: (flow: string) => string | null | undefined;
  readonly #takenTimeoutMs: number;
  readonly #holds = new Map<string, Hold>();
  readonly #followers = new Set<(hold: HoldStatus) => void>();
  readonly #ended = new EndedHolds();
  /** Something was refused since something last ended, and the log says so. */
  #isFull = false;

  /** @param agentOf whose an open flow is, by the kernel's word; undefined: it has not been heard of */
  constructor(
    send: (key: number, message: DaemonMessage) => void,
    log: (line: string) => void,
    agentOf: (flow: string) => string | null | undefined,
    takenTimeoutMs = TAKEN_TIMEOUT_MS,
  ) {
    this.#send = send;
    this.#log = new HoldLog(log);
    this.#fullLog = new HoldLog(log);
    this.#agentOf = agentOf;
    this.#takenTimeoutMs = takenTimeoutMs;
  }

  /** Oldest first. */
  list(): HoldStatus[] {
    return [...this.#holds.values()].map(({ status }) => status);
  }

  /** What waits, and what has come of the rest. */
  counts(): HoldCounts {
    const since = [...this.#holds.values()].map(({ sinceMs }) => sinceMs);
    const oldestSeconds = since.length === 0 ? null : (Date.now() - Math.min(...since)) / 1_000;
    return { waiting: since.length, oldestSeconds, ended: this.#ended.counts() };
  }

  /** Calls `listener` with whatever begins to wait from now on; returns what ends that. */
  onHold(listener: (hold: HoldStatus) => void): () => void {
    this.#followers.add(listener);
    return () => this.#followers.delete(listener);
  }

  /**
   * Gives an answer; resolves when it was taken.
   *
   * @throws ApiError NOT_FOUND when nothing waits under that id, or not any more: says what became of it, if that is known.
   * TIMEOUT when its worker is silent; the answer stands.
   */
  async answer(id: string, answer: Answer): Promise<HoldStatus> {
    const found = this.#holds.get(id);
    if (found === undefined) throw nothingWaits(this.#ended.wordsOf(id));
    if (found.given !== null) throw nothingWaits(`${wordsOf(found.given.answer)} just now`);
    const { approved, reason, by } = answer;
    const { key, hold, status, sinceMs } = found;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(notTaken()), this.#takenTimeoutMs);
      found.given = {
        answer,
        onEnd: (outcome, words) => {
          clearTimeout(timer);
          if (outcome === given(answer)) resolve(status);
          else reject(nothingWaits(`${words}, before that answer came`));
        },
      };
      const after = `after ${Math.round(Math.max(0, Date.now() - sinceMs) / 1_000)} s`;
      const why = reason === null ? '' : `: ${reason}`;
      // First, so that nothing is let pass of which the log does not say by whom.
      this.#log.say(`${described(status)} was ${wordsOf(answer)} ${after}${why}`);
      this.#send(key, { type: 'hold-answer', hold, approved, reason, by });
    });
  }

  /** Whether the message of the worker with this key was about holds. */
  heard(key: number, claim: Claim): boolean {
    if (isHeld(claim)) this.#add(key, isHeld.keep(claim));
    else if (isReleased(claim)) this.#release(key, claim);
    else if (isHoldsRefused(claim)) this.#ended.count('refused', claim.count);
    else return false;
    return true;
  }

  /** The worker with this key is gone, and its flows with it. */
  ended(key: number): void {
    for (const [id, hold] of [...this.#holds])
      if (hold.key === key) this.#end(id, hold, 'withdrawn', 'its worker has ended');
  }

  /** The worker with this key says nothing more to this daemon, and will tell the next one of what waits. */
  handedOver(key: number): void {
    let count = 0;
    for (const [id, hold] of [...this.#holds]) {
      if (hold.key !== key) continue;
      count += 1;
      if (hold.given !== null)
        this.#log.say(`${described(hold.status)} has not taken that answer, and waits on`);
      this.#end(id, hold, 'withdrawn', HANDED_OVER);
    }
    if (count > 0) this.#log.say(`holds that wait on for the next daemon, under other ids: ${count}`);
  }

  #add(key: number, { hold, held, waitedMs = 0 }: HeldClaim): void {
    const all = [...this.#holds.values()];
    if (all.some((other) => other.key === key && other.hold === hold)) return;
    const known = this.#agentOf(held.flow);
    const agent = known === undefined ? held.agent : known;
    const full = whyNoRoom(
      all.map(({ status }) => status.agent),
      agent,
    );
    if (full !== null) {
      this.#refuse(key, hold, agent, full);
      return;
    }
    const id = this.#newId();
    const now = Date.now();
    const sinceMs = now - waitedMs;
    const { timeoutMs, ...told } = held;
    const since = new Date(sinceMs).toISOString();
    const until = new Date(now + timeoutMs).toISOString();
    const status: HoldStatus = { id, ...told, agent, since, until };
    const isTold = this.#log.begins(agent, `${described(status)} waits for an answer: sluice holds`);
    this.#holds.set(id, { key, hold, sinceMs, status, isTold, given: null });
    for (const follower of this.#followers) follower(status);
  }

  #refuse(key: number, hold: number, agent: string | null, why: string): void {
    this.#ended.count('refused', 1);
    this.#send(key, { type: 'hold-answer', hold, approved: false, reason: why, by: null });
    const line = `what needs approval is refused: ${why} (${this.#holds.size} in all)`;
    if (!this.#isFull) this.#fullLog.begins(agent, line);
    this.#isFull = true;
  }

  #release(key: number, { hold, outcome }: Released): void {
    for (const [id, found] of this.#holds) {
      if (found.key !== key || found.hold !== hold) continue;
      const answered = found.given === null ? null : given(found.given.answer);
      // That somebody has answered is for this daemon to say.
      const claimed = outcome ?? answered ?? 'withdrawn';
      const isInvented = (claimed === 'approved' || claimed === 'denied') && claimed !== answered;
      const ended = isInvented ? 'withdrawn' : claimed;
      this.#end(id, found, ended, ENDED_WORDS[ended]);
      if (outcome !== undefined && ended !== answered && (found.isTold || answered !== null))
        this.#log.say(`${described(found.status)} has ended: ${ended}`);
      return;
    }
  }

  #end(id: string, { sinceMs, given: answered }: Hold, outcome: HoldOutcome, words: string): void {
    this.#holds.delete(id);
    this.#isFull = false;
    const isAnswer = answered !== null && outcome === given(answered.answer);
    this.#ended.add(
      id,
      outcome,
      isAnswer ? wordsOf(answered.answer) : words,
      Math.max(0, Date.now() - sinceMs),
    );
    answered?.onEnd(outcome, words);
  }

  /** Random, so that an id somebody has read off an earlier list never means another hold, of another daemon neither. */
  #newId(): string {
    for (;;) {
      const id = randomBytes(5).toString('hex');
      if (!this.#holds.has(id) && this.#ended.wordsOf(id) === null) return id;
    }
  }
}

const HANDED_OVER = 'it waits for the next daemon, under another id (sluice holds)';

const ENDED_WORDS: Readonly<Record<HoldOutcome, string>> = {
  approved: 'approved',
  denied: 'denied',
  timed_out: 'its time was up',
  cancelled: 'its agent has cancelled it',
  withdrawn: 'its agent has left, or its flow was cut',
  refused: 'refused',
};

/** What becomes of what was answered so. */
function given({ approved }: Answer): HoldOutcome {
  return approved ? 'approved' : 'denied';
}

function wordsOf(answer: Answer): string {
  const { uid, user, login } = answer.by;
  const name = user === null ? `uid ${uid}` : `${user} (uid ${uid})`;
  const loggedIn = login === null || login === user ? '' : `, logged in as ${login}`;
  return `${given(answer)} by ${name}${loggedIn}`;
}

/** @param became null: not known */
function nothingWaits(became: string | null): ApiError {
  if (became !== null) return new ApiError('NOT_FOUND', `nothing waits under that id any more: ${became}`);
  const hint = 'see `sluice holds`; what waited when the daemon was restarted waits on under another id';
  return new ApiError('NOT_FOUND', 'nothing waits under that id', { hint });
}

function notTaken(): ApiError {
  const hint =
    'the answer stands, and no other is taken; `sluice holds` lists it until its worker has the answer';
  return new ApiError('TIMEOUT', 'its worker has not taken the answer in time', { hint });
}

function described({ id, agent, verbs, rules }: HoldStatus): string {
  return `hold ${id} (${verbs.join(', ')} by ${agent ?? 'an unknown agent'}, rule ${rules.join(', ')})`;
}
