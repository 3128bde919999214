/**
 * What is attached already is left as it is: an upgrade attaches the programs of another ABI behind the former ones, and the
 * start it is a part of attaches what it has. Before Linux 6.10 a tracepoint does not take the same program twice (EEXIST).
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { addon } from '#src/kernel/addon.ts';
import { pinPaths } from '#src/kernel/pins.ts';
import { PIN_DIRECTORY, PlaneFixture } from '#test/support/plane.ts';

t.test('attaching once more changes no link', async (t) => {
  const fixture = await PlaneFixture.open();
  t.teardown(() => fixture.close());
  const { links } = pinPaths(PIN_DIRECTORY);
  const all = (): unknown[] => readdirSync(links).map((name) => addon().linkProgram(join(links, name)));
  const before = all();
  t.ok(before.length > 0);
  fixture.plane.attach();
  t.strictSame(all(), before);
});
