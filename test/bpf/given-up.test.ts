/**
 * Connections an agent gives up while nobody accepts: whatever the kernel had told it of them, each has an end, and
 * nothing of them stays in the tables.
 */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { addon } from '#src/kernel/addon.ts';
import { until } from '#test/support/command.ts';
import { PIN_DIRECTORY, PlaneFixture } from '#test/support/plane.ts';
import { PYTHON } from '#test/support/python.ts';

const PROCESSES = 4;
const EACH = 700;
/** More than all listeners' queues have room for. */
const TOTAL = PROCESSES * EACH;

const fixture = await PlaneFixture.open();
t.teardown(() => fixture.close());

t.test(`${TOTAL} connections closed at once, over full queues`, async (t) => {
  const script = `
import os, socket
for process in range(${PROCESSES}):
    if os.fork() == 0:
        for n in range(${EACH}):
            s = socket.socket()
            s.setblocking(False)
            try: s.connect(("192.0.2.1", 80))
            except BlockingIOError: pass
            s.close()
        os._exit(0)
for process in range(${PROCESSES}): os.wait()`;
  const enter = 'echo 0 > "$0/cgroup.procs" && exec "$@"';
  // This process is the proxy, and stands still meanwhile.
  const argv = ['-c', enter, fixture.directory, PYTHON, '-c', script];
  const { status, stderr } = spawnSync('sh', argv, { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  t.equal((await fixture.waitFor('open', TOTAL)).length, TOTAL);
  const { undelivered, closed } = await until('an end of each', () => {
    const ends = { undelivered: fixture.seen('undelivered'), closed: fixture.seen('closed') };
    return ends.undelivered.length + ends.closed.length >= TOTAL && ends;
  });
  const ended = [...undelivered, ...closed].map(({ id }) => id);
  t.ok(undelivered.length > TOTAL / 4, `${undelivered.length} did not find room`);
  t.equal(ended.length, TOTAL, 'each has one end');
  t.equal(new Set(ended).size, TOTAL);
  const tuples = new (addon().BpfMap)(`${PIN_DIRECTORY}/maps/sluice_tuples`);
  t.teardown(() => tuples.close());
  t.equal(tuples.keys().length, 0);
});
