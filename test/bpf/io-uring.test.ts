/** Connections made by io_uring, where connect() may run in a kernel thread, are taken in like any other. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { must, run } from '#test/support/command.ts';
import { AGENT_ID, PlaneFixture } from '#test/support/plane.ts';

const dir = mkdtempSync(join(tmpdir(), 'sluice-io-uring-'));
t.teardown(() => rmSync(dir, { recursive: true }));
const source = join(import.meta.dirname, '../support/programs/io-uring-connect.c');
const program = join(dir, 'io-uring-connect');
await must(['cc', '-O2', '-Wall', '-Wextra', '-Werror', '-o', program, source, '-luring']);

const fixture = await PlaneFixture.open();
t.teardown(() => fixture.close());
t.beforeEach(() => fixture.reset());

for (const mode of [[], ['sqpoll']]) {
  t.test(`socket, connect, send and receive by ${mode[0] ?? 'the process itself'}`, async (t) => {
    const enter = 'echo 0 > "$0/cgroup.procs" && exec "$@"';
    const result = await run(['sh', '-c', enter, fixture.directory, program, '192.0.2.20', '4321', ...mode]);
    if (result.code === 77) {
      t.pass('taken in', { skip: `needs a kernel with io_uring: ${result.stderr}` });
      return;
    }
    t.match(result.stdout, /^\d+ hello from the proxy\n$/, result.stderr);
    t.match(fixture.accepted[0]?.facts, {
      agentId: AGENT_ID,
      pid: Number(result.stdout.split(' ')[0]),
      dstIp: '192.0.2.20',
      dstPort: 4321,
    });
  });
}
