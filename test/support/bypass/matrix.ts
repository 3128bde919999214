/** Tries every row and lets the far side's capture say what came of it. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { findUser } from '#src/daemon/user.ts';
import { until } from '../command.ts';
import { RAW_PORTS } from '../raw-ports.ts';
import { type Field, said } from './field.ts';
import { Judge } from './judge.ts';
import { FAMILIES, ROWS, WHO } from './rows.ts';
import { type Outcome, proxyPorts, SPECIAL, whenItAnswers } from './special.ts';
import type { Attempt, MatrixResult, Row, Tried } from './types.ts';

/** Attempts tried at once; most wait for an answer that does not come. */
const LANES = 8;
const DELIVERY_MS = 10_000;

export interface MatrixOptions {
  /** Default: all. */
  readonly rows?: readonly Row[];
  readonly onStep?: (text: string) => void;
}

/** @throws Error when the machine cannot run the matrix at all; a row that cannot be run is `not run`. */
export async function runMatrix(
  field: Field,
  { rows = ROWS, onStep = () => {} }: MatrixOptions = {},
): Promise<MatrixResult> {
  const attempts = rows.flatMap((row) =>
    (row.who ?? WHO).flatMap((who) =>
      (row.families ?? FAMILIES).map((family) => field.attempt(row, who, family)),
    ),
  );
  const tried: Tried[] = [];
  const go = async (attempt: Attempt): Promise<void> => {
    // On a slow machine it may have the records of some ten thousand connections to write first.
    if (attempt.row.alone === true) await whenItAnswers(field);
    const started = performance.now();
    const outcome = await tryOne(field, attempt);
    tried.push({ ...attempt, ...outcome });
    const ms = Math.round(performance.now() - started);
    onStep(`${attempt.row.name} ${attempt.who} ${attempt.family} ${ms} ms ${JSON.stringify(outcome)}`);
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
  const judge = await gatherEvidence(field, tried);
  const [major, minor] = release().split('.');
  const order = new Map(attempts.map((attempt, i) => [attempt.canary, i]));
  tried.sort((a, b) => (order.get(a.canary) ?? 0) - (order.get(b.canary) ?? 0));
  return {
    kernel: `${major}.${minor}`,
    tier: (await whenItAnswers(field)).tier,
    cells: tried.map((one) => judge.judge(one)),
  };
}

async function tryOne(field: Field, attempt: Attempt): Promise<Outcome> {
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

async function gatherEvidence(field: Field, tried: readonly Tried[]): Promise<Judge> {
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
    DELIVERY_MS,
  ).catch(() => undefined);
  await field.capture.assertAllTls(RAW_PORTS.echo);
  return new Judge({
    packets: await field.capture.packets(),
    raw: await field.capture.bytes(),
    delivered: await raw.received('echo'),
    tlsPort: RAW_PORTS.echo,
  });
}
