/**
 * What a killed test leaves in the kernel is taken off by whoever has the host next; what is not a test's is not.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import t, { type Test } from 'tap';
import { DEFAULT_PIN_DIR } from '#src/api/paths.ts';
import { run, until } from '#test/support/command.ts';
import { takeHostLock } from '#test/support/host-lock.ts';
import { reap, sluiceMark, worldDir } from '#test/support/leftovers.ts';
import { SLUICE } from '#test/support/sluice.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);

/** A test that is killed while its daemon enforces; the name of its world. */
async function killedTest(t: Test): Promise<string> {
  const at = (file: string): string => JSON.stringify(new URL(`../support/${file}`, import.meta.url).href);
  const script = `
    import { World } from ${at('world.ts')};
    import { TestSluice } from ${at('sluice.ts')};
    const world = await World.open([]);
    const sluice = await TestSluice.start(world);
    console.log(world.name, sluice.daemon.pid);
    process.kill(process.pid, 'SIGKILL');`;
  const argv = [process.execPath, '--input-type=module-typescript', '-e', script];
  const { stdout, stderr, signal } = await run(argv, { timeoutMs: 250_000 });
  const [name = '', pid] = stdout.trim().split(' ');
  t.equal(signal, 'SIGKILL', stderr);
  // The kernel has ended it as well; what it held it may hold for another moment.
  await until('its daemon to end', () => !isRunning(Number(pid)));
  t.ok(existsSync(DEFAULT_PIN_DIR), 'the daemon left its pins');
  return name;
}

/** Not for one that nobody has waited for: it holds nothing any more. */
function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

t.test('pins of a killed test are taken off by who takes the host', async (t) => {
  const name = await killedTest(t);
  reap('without the host');
  t.ok(existsSync(DEFAULT_PIN_DIR), 'and by nobody else');
  t.ok(existsSync(sluiceMark(name)), 'who leaves what they are known by');
  t.notOk(existsSync(`/run/netns/${name}-near`));
  const release = await takeHostLock();
  t.notOk(existsSync(DEFAULT_PIN_DIR));
  t.notOk(existsSync(worldDir(name)));
  await release();
});

t.test('pins of a Sluice that was installed since are not', async (t) => {
  const name = await killedTest(t);
  t.equal((await run([SLUICE, 'uninstall'])).code, 0);
  mkdirSync(DEFAULT_PIN_DIR);
  t.teardown(() => rmdirSync(DEFAULT_PIN_DIR));
  t.not(readFileSync(sluiceMark(name), 'utf8'), '');
  await t.rejects(takeHostLock(), /a Sluice is installed on this host/);
  t.ok(existsSync(DEFAULT_PIN_DIR));
  t.notOk(existsSync(worldDir(name)), 'the rest of the test is cleared away');
});
