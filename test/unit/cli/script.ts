/**
 * Tests of the command line as short scripts: what is typed, and what must come back. Each command is a real
 * process of bin/sluice, run by a shell in an empty directory, against a fake daemon.
 *
 *   -- policy.yaml --        a file in that directory, up to the next such line or the first command
 *   version: 1
 *   $ sluice policy check policy.yaml
 *   | a line of standard output
 *   |~ a regular expression for a line of standard output
 *   ! a line of standard error        (`!~` likewise)
 *   = 1                               the exit code; 0 when there is none
 *
 * All lines of both outputs must be there, in order; `|...` takes whatever is left. `DIR` stands for the directory.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { serveApi } from '#src/api/server.ts';
import type { ApiBackend } from '#src/api/types.ts';
import { temporaryDirectory } from '../api/temporary.ts';

export const BIN = fileURLToPath(new URL('../../../bin', import.meta.url));

export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | null;
}

export interface Stage {
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
  /** Runs one command line to its end. */
  sh(command: string): Promise<Finished>;
}

/** A directory and, if there is a backend, a daemon in it. */
export async function setStage(t: Test, backend: ApiBackend | null): Promise<Stage> {
  const directory = temporaryDirectory(t);
  const runtimeDir = join(directory, 'run');
  if (backend !== null) {
    const server = await serveApi(join(runtimeDir, 'api.sock'), backend);
    t.teardown(() => server.close());
  }
  const env = {
    PATH: `${BIN}:${process.env['PATH']}`,
    SLUICE_RUNTIME_DIR: runtimeDir,
    SLUICE_STATE_DIR: join(directory, 'state'),
    SLUICE_PIN_DIR: join(directory, 'pins'),
    TZ: 'UTC',
  };
  return { directory, env, sh: (command) => runShell(command, directory, env) };
}

async function runShell(command: string, cwd: string, env: NodeJS.ProcessEnv): Promise<Finished> {
  const child = spawn('/bin/sh', ['-c', command], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [code]] = await Promise.all([
    readAll(child.stdout),
    readAll(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { stdout, stderr, code };
}

interface Step {
  readonly command: string;
  readonly stdout: string[];
  readonly stderr: string[];
  code: number;
}

/** Runs a script against a daemon made of `backend`; null: there is none. */
export async function script(t: Test, backend: ApiBackend | null, text: string): Promise<Stage> {
  const stage = await setStage(t, backend);
  for (const step of parse(text, stage.directory)) {
    const done = await stage.sh(step.command);
    const all = `${done.stdout}${done.stderr}`;
    compare(t, `${step.command}: standard output`, done.stdout, step.stdout, stage.directory);
    compare(t, `${step.command}: standard error`, done.stderr, step.stderr, stage.directory);
    t.equal(done.code, step.code, `${step.command}: exit code`, { all });
  }
  return stage;
}

function parse(text: string, directory: string): Step[] {
  const lines = text.replace(/^\n/, '').split('\n');
  const steps: Step[] = [];
  let file: string | null = null;
  const files = new Map<string, string[]>();
  for (const line of lines) {
    const step = steps.at(-1);
    const header = /^-- (\S+) --$/.exec(line)?.[1];
    if (header !== undefined) {
      file = header;
      files.set(header, []);
    } else if (line.startsWith('$ ')) steps.push({ command: line.slice(2), stdout: [], stderr: [], code: 0 });
    else if (step === undefined && file !== null) files.get(file)?.push(line);
    else if (step === undefined || line === '') continue;
    else if (line.startsWith('|')) step.stdout.push(line.slice(1));
    else if (line.startsWith('!')) step.stderr.push(line.slice(1));
    else if (line.startsWith('= ')) step.code = Number(line.slice(2));
    else throw new Error(`not a line of a script: ${line}`);
  }
  for (const [name, content] of files) {
    mkdirSync(join(directory, name, '..'), { recursive: true });
    writeFileSync(join(directory, name), `${content.join('\n')}\n`);
  }
  return steps;
}

/** Both sides in the script's notation, so that a difference reads like the script. */
function compare(
  t: Test,
  name: string,
  actual: string,
  expected: readonly string[],
  directory: string,
): void {
  const lines = actual === '' ? [] : actual.replace(/\n$/, '').split('\n');
  const shown = lines.map((line) => ` ${line.replaceAll(directory, 'DIR')}`.trimEnd());
  const open = expected.at(-1) === '...';
  const wanted = (open ? expected.slice(0, -1) : expected).map((line) => line.trimEnd());
  const compared = open ? shown.slice(0, wanted.length) : shown;
  // A line that fits its expression is replaced by it, so that only what differs is shown.
  const folded = compared.map((line, at) => {
    const pattern = wanted[at]?.startsWith('~ ') === true ? wanted[at] : null;
    return pattern !== null && new RegExp(pattern.slice(2)).test(line.slice(1)) ? pattern : line;
  });
  t.same(folded, wanted, name);
}
