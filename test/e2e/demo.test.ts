/** The demo of the README holds what it claims: it is the first thing anybody runs, and nothing else would notice. */
import { join } from 'node:path';
import t from 'tap';
import { run } from '#test/support/command.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const DEMO = join(import.meta.dirname, '../../scripts/demo.ts');
/** One line of proof for each claim; fewer means that a part of the show is gone. */
const CLAIMS = 16;

t.test('every claim of the demo holds', async (t) => {
  const done = await run([process.execPath, DEMO], { env: { NO_COLOR: '1' }, timeoutMs: 240_000 });
  t.equal(done.code, 0, done.stderr);
  t.equal(done.stdout.match(/^ {2}holds {2}/gm)?.length, CLAIMS);
  t.notMatch(done.stdout, /BROKEN/);
  t.match(done.stdout, new RegExp(`^${CLAIMS} claims held, 0 did not`, 'm'));
});
