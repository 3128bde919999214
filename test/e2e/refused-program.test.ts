/**
 * A program that the kernel's verifier refuses: the daemon says which, and why in the verifier's own words, and does not
 * tell root to become root. What is refused is this version with a check left out of its source, as a defect would be.
 */
import { join } from 'node:path';
import t from 'tap';
import { messageOf } from '#src/core/errors.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { installChanged } from '#test/support/version.ts';
import { World } from '#test/support/world.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(1_000_000);

/** Storage that could not be had is used as if it were there. */
const UNCHECKED = {
  file: 'bpf/connect.bpf.c',
  from: `  if (!sock)
    return deny_lost(config, agent);
`,
  to: '',
};

async function whyItDoesNotStart(world: World, place: string): Promise<string> {
  try {
    await TestSluice.start(world, { program: join(place, 'bin/sluice'), workers: 1 });
  } catch (error) {
    return messageOf(error);
  }
  throw new Error('it started');
}

t.test('at connect(): there is no daemon, and why is said', async (t) => {
  const world = await World.open([]);
  t.teardown(() => world.close());
  const place = join(world.dir, 'installed');
  await installChanged(place, [UNCHECKED]);
  const said = await whyItDoesNotStart(world, place);
  t.match(
    said,
    /connect\.bpf\.o cannot be loaded: the kernel's verifier refuses sluice_connect[46] \(EACCES\):/,
  );
  t.match(said, /R\d+ invalid mem access '\w+_or_null'/, "the reason, in the verifier's words");
  t.match(said, /hint: .*report these lines with its release/);
  t.notMatch(said, /run as root|BEGIN PROG LOAD LOG|libbpf:/);
  t.ok(said.split('\n').length < 40, 'and no more than its last lines');
});
