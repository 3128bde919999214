/** scripts/test-vm, as far as it needs no guest. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';

const SCRIPT = new URL('../../../scripts/test-vm', import.meta.url).pathname;

t.test('a list whose reader has gone ends quietly', async (t) => {
  const child = spawn('sh', [SCRIPT, '--list'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  t.same(await once(child, 'close'), [0, null]);
  t.equal(stderr, '');
});
