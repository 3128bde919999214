/**
 * Fills Node's compile cache for a checkout without running any of it: what a guest would otherwise do itself, emulated,
 * at each first start. Run as a program of its own, in that checkout, with NODE_COMPILE_CACHE set:
 *
 *   node --preserve-symlinks test/vm/warm.ts PATTERN…
 *
 * A module's whole graph is compiled and linked before any of it is evaluated, in the order of its imports. So one that
 * first imports what throws compiles all the others and evaluates none.
 */
import { globSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const THROWN = 'nothing is to be run';
const stop = resolve('warm-stop.mjs');
const all = resolve('warm-all.mjs');

const files = globSync(process.argv.slice(2)).map((file) => pathToFileURL(join(process.cwd(), file)).href);
try {
  writeFileSync(stop, `throw new Error('${THROWN}');\n`);
  writeFileSync(all, ['./warm-stop.mjs', ...files].map((file) => `import '${file}';\n`).join(''));
  await import(pathToFileURL(all).href).catch((error: Error) => {
    if (error.message !== THROWN) throw error;
  });
} finally {
  rmSync(stop, { force: true });
  rmSync(all, { force: true });
}
