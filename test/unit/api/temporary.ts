/** A directory with a short path: the path of a unix socket has at most 107 bytes, and `t.testdir()` fills them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

/** Removed with everything in it when the test ends. */
export function temporaryDirectory(t: Pick<Test, 'teardown'>): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
