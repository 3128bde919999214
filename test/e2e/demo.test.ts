/** The demo of the README holds what it claims: it is the first thing anybody runs, and nothing else would notice. */
import { existsSync, globSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { DEFAULT_PIN_DIR } from '#src/api/paths.ts';
import { must, Running, run } from '#test/support/command.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(380_000);
const scripts = join(import.meta.dirname, '../../scripts');
const DEMO = join(scripts, 'demo.ts');
/** One line of proof for each claim; fewer means that a part of the show is gone. */
const CLAIMS = 16;

t.test('every claim of the demo holds', async (t) => {
  const done = await run([process.execPath, DEMO], { env: { NO_COLOR: '1' }, timeoutMs: 240_000 });
  t.equal(done.code, 0, done.stderr);
  t.equal(done.stdout.match(/^ {2}holds {2}/gm)?.length, CLAIMS);
  t.notMatch(done.stdout, /BROKEN/);
  t.match(done.stdout, new RegExp(`^${CLAIMS} claims held, 0 did not`, 'm'));
});

t.test('a claim that does not hold is shown as broken, and makes the exit code 1', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-demo-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  // All it sends is carried as ever; only its exit code is another.
  writeFileSync(join(dir, 'curl'), '#!/bin/sh\n/usr/bin/curl "$@"\nexit 9\n', { mode: 0o755 });
  const env = { NO_COLOR: '1', PATH: `${dir}:${process.env['PATH']}` };
  const done = await run([process.execPath, DEMO], { env, timeoutMs: 240_000 });
  t.equal(done.code, 1, done.stderr);
  t.match(done.stdout, /^ {2}BROKEN curl got its answer$/m);
  t.match(done.stdout, /^ {2}holds {2}psql got its row$/m, 'and what follows is shown all the same');
  t.match(done.stdout, /^\d+ claims held, [1-9]\d* did not/m);
});

t.test('Ctrl-C in the middle of it leaves nothing behind', async (t) => {
  const cgroups = (await must(['findmnt', '-t', 'cgroup2', '-n', '-o', 'TARGET'])).trim().split('\n');
  // A process group of its own: a terminal sends the signal to all of it.
  const demo = new Running(['setsid', process.execPath, DEMO], { env: { NO_COLOR: '1' } });
  await demo.waitFor((r) => r.stdout.includes('curl got its answer'), 300_000);
  t.ok(existsSync(DEFAULT_PIN_DIR), 'it is in force');
  process.kill(-demo.pid, 'SIGINT');
  t.equal((await demo.finished).code, 130, demo.stderr);
  const world = `slw-${demo.pid}-*`;
  t.strictSame(globSync([`/run/netns/${world}`, join(tmpdir(), world)]), [], 'no namespace, no directory');
  t.notOk(existsSync(DEFAULT_PIN_DIR), 'no pin');
  for (const cgroup of cgroups)
    t.notOk(readdirSync(cgroup).includes('sluice'), `no cgroup is left in ${cgroup}`);
});

t.test('its usage', async (t) => {
  const help = await run([join(scripts, 'demo'), '--help']);
  t.match(help, { code: 0, stdout: /^Sets this machine up[\s\S]*Exit code: 0 every claim held/ });
  t.match(await run([join(scripts, 'demo'), '--wrong']), { code: 2, stdout: help.stdout });
});
