/**
 * Sluice as a unit of a real systemd, agents as units and a slice: the payloads that test/vm runs on other kernels, on
 * this one, in a systemd-nspawn container.
 */
import { rmSync } from 'node:fs';
import t from 'tap';
import { takeHostLock } from '#test/support/host-lock.ts';
import { Cache, clearScratch } from '#test/vm/cache.ts';
import { CannotRun, NSPAWN_TOOLS, requireMachine, requireTools } from '#test/vm/cannot.ts';
import { clearContainerCgroups, runContainer, whyNoContainer } from '#test/vm/nspawn.ts';
import { getTree } from '#test/vm/root.ts';

const SUITE = 'bookworm';
const PAYLOADS = ['systemd', 'restart', 'harden'].map((name) => `test/vm/payloads/works/${name}.test.ts`);

// Where the tree is not there yet, it is made first.
t.setTimeout(1_000_000);

/** Null: it can be done. */
async function whyNot(cache: Cache): Promise<string | null> {
  try {
    requireMachine();
    requireTools(NSPAWN_TOOLS);
    return await whyNoContainer(await getTree(cache, SUITE));
  } catch (error) {
    if (error instanceof CannotRun) return error.message;
    throw error;
  }
}

const cache = new Cache();
process.on('exit', () => clearScratch(cache.directory));
const reason = await whyNot(cache);
const skip = reason ?? false;

t.test('daemon and agents as units of a systemd of their own', { skip }, async (t) => {
  const unlock = await takeHostLock();
  t.teardown(unlock);
  const directory = cache.scratch('container');
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  t.teardown(() => clearContainerCgroups());
  const onLine = (line: string): void => t.comment(line);
  const verdict = await runContainer(cache, SUITE, { tests: PAYLOADS, directory, onLine });
  t.equal(verdict.exitCode, 0);
  t.equal(verdict.failed, 0);
  t.ok(verdict.passed > 0, `${verdict.passed} passed`);
});
