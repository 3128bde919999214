/** No program takes the verifier long: what this kernel does in its stride, an older one has to do as well. */
import { readdirSync } from 'node:fs';
import t from 'tap';
import { addon, buildPaths } from '#src/kernel/addon.ts';
import { makePinDirectories, pinPaths, removePins } from '#src/kernel/pins.ts';

const PIN_DIRECTORY = `/sys/fs/bpf/sluice-test-${process.pid}`;

/**
 * Steps, of a million that all kernels allow. The same program takes 6.1 several times as many as later kernels, which
 * forget sooner what no longer matters; so a tenth here leaves room there, and for a change or two.
 */
const STEPS_MAX = 100_000;

/** Without these everything else of Sluice works: a kernel may list the BPF LSM and still take no program for it. */
const OPTIONAL = /^lsm\//;

t.test('every program is verified in a tenth of what the kernel allows', async (t) => {
  t.teardown(() => removePins(PIN_DIRECTORY));
  makePinDirectories(PIN_DIRECTORY);
  const files = readdirSync(buildPaths.objects, { recursive: true }).map(String);
  for (const file of files.filter((name) => name.endsWith('.bpf.o'))) {
    const object = new (addon().BpfObject)(`${buildPaths.objects}/${file}`, pinPaths(PIN_DIRECTORY).maps);
    try {
      object.load();
    } catch (error) {
      if (!OPTIONAL.test(file) || (error as { code?: unknown }).code !== 'EPERM') throw error;
      t.comment(`${file}: this kernel takes no programs for the BPF LSM`);
      object.close();
      continue;
    }
    for (const { name, verifiedInstructions: steps } of object.programs()) {
      t.ok(steps > 0 && steps <= STEPS_MAX, `${name}: ${steps} steps, ${STEPS_MAX} at most`);
    }
    object.close();
  }
});
