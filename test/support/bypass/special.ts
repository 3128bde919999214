/** The attempts that take more than one process: visitors, impostors, and storms while Sluice is being hurt. */
import { readdirSync } from 'node:fs';
import { DEFAULT_PIN_DIR } from '#src/api/paths.ts';
import type { Status } from '#src/api/types.ts';
import { addon, buildPaths, type NativeObject } from '#src/kernel/addon.ts';
import { howItEnded, type Running, run, until } from '../command.ts';
import { SLUICE } from '../sluice.ts';
import { type Field, said } from './field.ts';
import type { Attempt, Said } from './types.ts';

export interface Outcome {
  readonly said: Said;
  readonly stolen: boolean;
}

/** Of a storm, on a machine of usual speed: one that takes longer has failed. */
const STORM_MS = 240_000;
/** Connections offered to an impostor beside the daemon: the kernel spreads them over all who listen. */
const OFFERED = 24;

export const SPECIAL: Readonly<Record<string, (field: Field, attempt: Attempt) => Promise<Outcome>>> = {
  inbound: (field, attempt) => visited(field, attempt, 'visit'),
  'inbound-cookies': (field, attempt) => visited(field, attempt, 'visit'),
  'inbound-udp': (field, attempt) => visited(field, attempt, 'visit-udp'),
  'inherited-listener': (field, attempt) => visited(field, attempt, 'visit'),
  'storm-link-updates': (field, attempt) => stormed(field, attempt, updateLinks),
  'storm-daemon-kills': (field, attempt) => stormed(field, attempt, killDaemons),
  'storm-worker-kills': (field, attempt) => stormed(field, attempt, killWorkers),
  'impostor-beside': impostorBeside,
  'impostor-after': impostorAfter,
  'second-daemon': secondDaemon,
};

const listening = (running: Running): Promise<boolean> =>
  running
    .waitFor((r) => r.stdout.includes('listening'))
    .then(
      () => true,
      () => false,
    );

async function visited(field: Field, attempt: Attempt, technique: string): Promise<Outcome> {
  const port = field.portOf(attempt);
  const server = field.start(field.command(attempt, { option: String(port) }));
  if (!(await listening(server))) return { said: await said(server), stolen: false };
  const visitor = await said(field.world.far.start(field.visitor(attempt, technique, port)));
  const stolen = visitor.said === 'sent' && visitor.note === 'got something';
  return { said: await said(server), stolen };
}

async function stormed(
  field: Field,
  attempt: Attempt,
  hurt: (field: Field, times: number) => Promise<void>,
): Promise<Outcome> {
  const storm = field.start(field.command(attempt), STORM_MS);
  await storm.waitFor((r) => r.stdout.includes('storming'));
  try {
    await hurt(field, Number(attempt.row.option));
  } finally {
    storm.kill('SIGTERM');
  }
  return { said: await said(storm), stolen: false };
}

function loadObjects(): NativeObject[] {
  const objects = readdirSync(buildPaths.objects)
    .filter((file) => file.endsWith('.bpf.o'))
    .map((file) => new (addon().BpfObject)(`${buildPaths.objects}/${file}`, `${DEFAULT_PIN_DIR}/maps`));
  for (const object of objects) object.load();
  return objects;
}

/** Replaces every program by its like, over and over, as an upgrade does. Two sets take turns: before 6.10 no kernel has
 * one program twice at a tracepoint. */
async function updateLinks({ cgroupRoot }: Field, times: number): Promise<void> {
  const pinned = new Set(readdirSync(`${DEFAULT_PIN_DIR}/links`));
  const objects: NativeObject[] = [];
  try {
    const sets = [0, 1].map(() => {
      const loaded = loadObjects();
      objects.push(...loaded);
      return loaded.flatMap((object) =>
        object.programs().flatMap(({ name }) => (pinned.has(name) ? [{ object, name }] : [])),
      );
    });
    let n = 0;
    for (let turn = 0; n < times; turn += 1) {
      for (const { object, name } of (sets[turn % 2] ?? []).slice(0, times - n)) {
        object.attach(name, cgroupRoot, `${DEFAULT_PIN_DIR}/links/${name}`);
        n += 1;
      }
      await pause(5);
    }
  } finally {
    for (const object of objects) object.close();
  }
}

/** One of ten when it enforces, and the last is left to; the others in their start, each a little further on. */
async function killDaemons({ sluice }: Field, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    const ended = await sluice.stop('SIGKILL');
    if (ended.signal !== 'SIGKILL') throw new Error(`the daemon ended ${howItEnded(ended)}`);
    if (n % 10 === 9 || n === times - 1) await sluice.startDaemon();
    else sluice.beginDaemon();
    await pause((n * 250) % 2_000);
  }
}

/** All that are there, over and over: one that dies young is replaced after a second, and nobody serves until then. */
async function killWorkers({ sluice }: Field, times: number): Promise<void> {
  let last: readonly number[] = [];
  for (let n = 0; n < times; n += last.length) {
    const victims = await until('a worker', async () => {
      const pids = (await sluice.status()).workers.flatMap(({ pid }) => (pid === null ? [] : [pid]));
      const fresh = pids.filter((pid) => !last.includes(pid));
      return fresh.length > 0 && fresh;
    });
    last = victims.slice(0, times - n);
    for (const pid of last) process.kill(pid, 'SIGKILL');
    await pause(50);
  }
  await until('all workers', async () => {
    const { workers } = await sluice.status();
    return workers.every(({ pid }) => pid !== null && !last.includes(pid));
  });
}

/** The daemon's status, as soon as it has caught up with what the rows before did to it. */
export function whenItAnswers(field: Field): Promise<Status> {
  return until('the daemon to answer', () => field.sluice.status().catch(() => null), 60_000);
}

/** A daemon is needed to say which ports are its. */
export async function proxyPorts(field: Field): Promise<number[]> {
  return [...new Set((await whenItAnswers(field)).listeners.map(({ port }) => port))];
}

/** One of them. */
async function proxyPort(field: Field): Promise<number> {
  return (await proxyPorts(field))[0] ?? 0;
}

const loopback = (attempt: Attempt): string => (attempt.family === '6' ? '::1' : '127.0.0.1');

/** The impostor is an agent, and other agents are what it is after. */
async function impostorBeside(field: Field, attempt: Attempt): Promise<Outcome> {
  const option = String(await proxyPort(field));
  const posing = { ...attempt, address: loopback(attempt) };
  const impostor = field.start(field.command(posing, { technique: 'impostor', option }));
  if (!(await listening(impostor))) return { said: await said(impostor), stolen: false };
  const offer = (): Promise<Said> => said(field.start(field.command(attempt, { technique: 'tcp' })));
  await Promise.all(Array.from({ length: OFFERED }, offer));
  const got = await said(impostor);
  return { said: got, stolen: got.said === 'sent' };
}

/** The impostor is nobody's agent. What the agents are told is the row's answer. */
async function impostorAfter(field: Field, attempt: Attempt): Promise<Outcome> {
  const ports = await proxyPorts(field);
  const option = String(ports[0]);
  await field.sluice.stop('SIGKILL');
  try {
    const posing = { ...attempt, address: loopback(attempt) };
    const impostor = field.start(field.command(posing, { technique: 'impostor', option, outside: true }));
    await listening(impostor);
    // The ports take turns: one of these attempts is for the impostor's.
    const answers: Said[] = [];
    for (const _ of ports)
      answers.push(await said(field.start(field.command(attempt, { technique: 'tcp' }))));
    const { stdout } = await impostor.stop('SIGKILL');
    const [first] = answers;
    return {
      said: answers.find(({ said: word }) => word !== first?.said) ?? (first as Said),
      stolen: stdout.includes('stolen'),
    };
  } finally {
    await field.sluice.startDaemon();
  }
}

async function secondDaemon(field: Field, attempt: Attempt): Promise<Outcome> {
  const { world, sluice } = field;
  const dirs = ['--runtime-dir', `${world.dir}/second-run`, '--state-dir', `${world.dir}/second-state`];
  const pins = ['--pin-dir', `${DEFAULT_PIN_DIR}-second`];
  const second = run(
    world.near.wrap([SLUICE, 'daemon', '--policy', sluice.policyPath, '--workers', '1', ...dirs, ...pins]),
    { timeoutMs: 60_000 },
  );
  const during = await said(field.start(field.command(attempt, { technique: 'tcp' })));
  const ended = await second;
  if (ended.code === 0 || ended.timedOut) throw new Error(`a second daemon was let in: ${ended.stdout}`);
  return { said: during, stolen: false };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
