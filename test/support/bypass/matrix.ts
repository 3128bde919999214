/**
 * Tries every row and lets the far side's capture say what came of it.
 *
 * A row that cannot be tried or judged is `failed`, with its error, and costs no other row its answer. What is known is
 * told while the matrix is still run, so that a machine that dies late has not lost it.
 */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { messageOf } from '#src/core/errors.ts';
import { findUser } from '#src/daemon/user.ts';
import { until } from '../command.ts';
import { RAW_PORTS } from '../raw-ports.ts';
import { type Field, said } from './field.ts';
import { Judge } from './judge.ts';
import { FAMILIES, ROWS, WHO } from './rows.ts';
import { scaledRow, withPart } from './scale.ts';
import { type Outcome, proxyPorts, SPECIAL, whenItAnswers } from './special.ts';
import type { Attempt, Cell, MatrixResult, Row, Tried } from './types.ts';

/** Attempts tried at once; most wait for an answer that does not come. */
const LANES = 8;
const DELIVERY_MS = 10_000;
/** What is not there by then is looked for again. */
const EARLY_DELIVERY_MS = 500;
/** Between two looks at the capture while rows are tried; and no more than a tenth of the time is spent on them. */
const LOOK_AFTER_MS = 60_000;
const LOOK_SHARE = 10;
/** Of an error's text, in an answer. */
const WHY_LINES = 3;
const MAX_WHY = 200;

export interface MatrixOptions {
  /** Default: all. */
  readonly rows?: readonly Row[];
  readonly onStep?: (text: string) => void;
  /** Gets answers as they become known, now and then; one that is told again takes the place of what was told before. */
  readonly onCells?: (result: MatrixResult) => void;
}

/** Of the one that runs, major and minor. */
export function kernelOf(): string {
  const [major, minor] = release().split('.');
  return `${major}.${minor}`;
}

/** @throws Error when the machine cannot run the matrix at all; a row that cannot be run is `not run` or `failed`. */
export async function runMatrix(
  field: Field,
  { rows = ROWS, onStep = () => {}, onCells = () => {} }: MatrixOptions = {},
): Promise<MatrixResult> {
  const attempts = rows
    .map((row) => scaledRow(row))
    .flatMap((row) =>
      (row.who ?? WHO).flatMap((who) =>
        (row.families ?? FAMILIES).map((family) => field.attempt(row, who, family)),
      ),
    );
  const kernel = kernelOf();
  const { tier } = await whenItAnswers(field);
  const answers = new Answers(attempts, (tried, isLast) => gatherEvidence(field, tried, isLast));
  const look = async (isLast: boolean): Promise<void> => {
    const cells = await answers.look(isLast);
    if (cells.length > 0) onCells({ kernel, tier, cells });
  };
  const go = async (attempt: Attempt): Promise<void> => {
    const started = performance.now();
    const outcome = await tryOne(field, attempt).catch(async (error: unknown) => {
      // Without a daemon the others would only fail too. Where it does not start, they say so.
      await field.revive().catch((reason: unknown) => onStep(`no daemon: ${messageOf(reason)}`));
      return failed(error);
    });
    answers.add({ ...attempt, ...outcome });
    const ms = Math.round(performance.now() - started);
    onStep(`${attempt.row.name} ${attempt.who} ${attempt.family} ${ms} ms ${JSON.stringify(outcome)}`);
    if (answers.isTimeToLook) await look(false);
  };
  await inLanes(
    attempts.filter(({ row }) => row.alone !== true),
    LANES,
    go,
  );
  await inLanes(
    attempts.filter(({ row }) => row.alone === true),
    1,
    go,
  );
  await look(true);
  return { kernel, tier, cells: answers.cells };
}

/** Makes a judge of what the far side has seen up to now. @param isLast nobody looks again */
type Gather = (tried: readonly Tried[], isLast: boolean) => Promise<Pick<Judge, 'judge'>>;

/** Of the attempts that were made, what each came to. */
export class Answers {
  readonly #order: ReadonlyMap<string, number>;
  readonly #gather: Gather;
  readonly #tried: Tried[] = [];
  readonly #cells = new Map<string, Cell>();
  #looking: Promise<unknown> = Promise.resolve();
  #isLooking = false;
  #nextLookAt = performance.now() + LOOK_AFTER_MS;

  constructor(attempts: readonly Attempt[], gather: Gather) {
    this.#order = new Map(attempts.map(({ canary }, at) => [canary, at]));
    this.#gather = gather;
  }

  add(tried: Tried): void {
    this.#tried.push(tried);
  }

  get isTimeToLook(): boolean {
    return !this.#isLooking && performance.now() > this.#nextLookAt;
  }

  /** In the order of the attempts. */
  get cells(): Cell[] {
    const place = (canary: string): number => this.#order.get(canary) ?? 0;
    return [...this.#cells].sort(([a], [b]) => place(a) - place(b)).map(([, cell]) => cell);
  }

  /**
   * Judges all that was tried up to now, also once more what was judged before: a packet may have come late. Gives the
   * answers that are new or other than before.
   */
  look(isLast: boolean): Promise<Cell[]> {
    const looked = this.#looking.then(() => this.#look(isLast));
    this.#looking = looked;
    return looked;
  }

  async #look(isLast: boolean): Promise<Cell[]> {
    this.#isLooking = true;
    const started = performance.now();
    const tried = [...this.#tried];
    const answers = await this.#gather(tried, isLast).then(
      (judge) => tried.map((one): [Tried, Cell] => [one, judged(judge, one)]),
      // A capture that cannot be believed says nothing of what it has not been asked about yet.
      (error: unknown) =>
        tried
          .filter(({ canary }) => !this.#cells.has(canary))
          .map((one): [Tried, Cell] => [one, failedCell(one, error)]),
    );
    const news = answers.filter(([{ canary }, cell]) => !isSame(this.#cells.get(canary), cell));
    for (const [{ canary }, cell] of news) this.#cells.set(canary, cell);
    const now = performance.now();
    this.#nextLookAt = now + Math.max(LOOK_AFTER_MS, (now - started) * LOOK_SHARE);
    this.#isLooking = false;
    return news.map(([, cell]) => cell);
  }
}

const isSame = (a: Cell | undefined, b: Cell): boolean => a?.verdict === b.verdict && a.detail === b.detail;

/** Its first lines as one: the second is often what the first only announces. */
const whyOf = (error: unknown): string =>
  messageOf(error).split('\n', WHY_LINES).join(' ').trim().slice(0, MAX_WHY);

const failed = (error: unknown): Outcome => ({ said: { said: 'failed', why: whyOf(error) }, stolen: false });

function failedCell({ row, who, family }: Attempt, error: unknown): Cell {
  return { row: row.name, who, family, verdict: 'failed', detail: whyOf(error) };
}

function judged(judge: Pick<Judge, 'judge'>, tried: Tried): Cell {
  try {
    return withPart(judge.judge(tried));
  } catch (error) {
    return failedCell(tried, error);
  }
}

async function tryOne(field: Field, attempt: Attempt): Promise<Outcome> {
  // On a slow machine it may have the records of some ten thousand connections to write first.
  if (attempt.row.alone === true) await whenItAnswers(field);
  const special = SPECIAL[attempt.row.name];
  if (special !== undefined) return special(field, attempt);
  const option = await optionOf(field, attempt);
  return { said: await said(field.start(field.command(attempt, { option }))), stolen: false };
}

async function optionOf(field: Field, { row }: Attempt): Promise<string> {
  if (row.option === 'PROXY-PORTS') return `{ ${(await proxyPorts(field)).join(', ')} }`;
  if (row.option === 'FREE-CGROUP') return field.freeCgroup;
  if (row.option === 'WORKER') return `${findUser('sluice').uid}:${await workerCgroup(field)}`;
  return row.option ?? '';
}

async function workerCgroup(field: Field): Promise<string> {
  const { workers } = await whenItAnswers(field);
  const lines = readFileSync(`/proc/${workers.find(({ pid }) => pid !== null)?.pid}/cgroup`, 'utf8');
  return `${field.cgroupRoot}${/^0::(.*)$/m.exec(lines)?.[1] ?? ''}`;
}

async function inLanes(
  attempts: readonly Attempt[],
  lanes: number,
  go: (attempt: Attempt) => Promise<void>,
): Promise<void> {
  const queue = [...attempts];
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await go(next);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

async function gatherEvidence(field: Field, tried: readonly Tried[], isLast: boolean): Promise<Judge> {
  const { raw } = field.world;
  const answered = tried.filter(({ said }) => said.said === 'sent' && said.note === 'answered');
  // What was answered has been delivered; the rest has had as long.
  await until(
    'what was answered to be recorded',
    async () => {
      const delivered = await raw.received('echo');
      const plain = await raw.received('plain');
      return answered.every(({ canary }) => delivered.includes(canary) || plain.includes(canary));
    },
    isLast ? DELIVERY_MS : EARLY_DELIVERY_MS,
  ).catch(() => undefined);
  await field.capture.assertAllTls(RAW_PORTS.echo);
  return new Judge({
    packets: await field.capture.packets(),
    raw: await field.capture.bytes(),
    delivered: await raw.received('echo'),
    tlsPort: RAW_PORTS.echo,
  });
}
