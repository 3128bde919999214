import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { bootGuest } from '#test/vm/boot.ts';

const LONG_MS = 60_000;
const directory = mkdtempSync(join(tmpdir(), 'sluice-boot-'));
t.teardown(() => rmSync(directory, { recursive: true }));

const GOOD =
  'printf "guest: 6.1\\nguest: file a\\nok 1\\n1..1\\n\\nguest: ended 0\\nguest: exit 0\\n" >$channel';

/** Starts a shell in the place of a guest: `script` knows `$console` and `$channel`, and how often it was started in `$count`. */
async function boot(
  script: string,
  limits: { silenceMs?: number; limitMs?: number } = {},
): Promise<{ ended: unknown; told: string; starts: number }> {
  const told: string[] = [];
  let starts = 0;
  const argv = (console: string, channel: string): string[] => {
    starts += 1;
    return ['sh', '-c', `console=$0 channel=$1 count=$2; ${script}`, console, channel, String(starts)];
  };
  const onLine = (line: string): void => void told.push(line);
  const bounds = { silenceMs: LONG_MS, limitMs: LONG_MS, ...limits };
  const ended = await bootGuest({ argv, env: {}, directory, onLine, onMatrix: undefined, ...bounds }).catch(
    (error: Error) => error.message,
  );
  return { ended, told: told.join('\n'), starts };
}

t.test('one that comes to its end is judged by what it said', async (t) => {
  t.match(await boot(GOOD), { ended: { exitCode: 0, passed: 1, failed: 0 }, starts: 1 });
});

t.test('one that ends before its first word is booted once more, and once only', async (t) => {
  const second = await boot(`[ $count = 2 ] || { echo panic >$console; exit 1; }; ${GOOD}`);
  t.match(second, { ended: { exitCode: 0, passed: 1 }, starts: 2 });
  t.match(second.told, /ended without a result[\s\S]*panic[\s\S]*once more/);
  t.match(await boot('exit 1'), { ended: /ended without a result/, starts: 2 });
});

t.test('one that is silent too long is ended and booted once more', async (t) => {
  const { ended, told, starts } = await boot(`[ $count = 2 ] || exec sleep 60; ${GOOD}`, { silenceMs: 500 });
  t.match({ ended, starts }, { ended: { exitCode: 0, passed: 1 }, starts: 2 });
  t.match(told, /said nothing in/);
});

t.test('one that has spoken is not: what broke it may be Sluice', async (t) => {
  t.match(await boot('echo "guest: 6.1" >$channel'), { ended: /ended without a result/, starts: 1 });
  const hangs = await boot('echo "guest: 6.1" >$channel; exec sleep 60', { silenceMs: 500, limitMs: 1500 });
  t.match(hangs, { ended: /took longer than/, starts: 1 });
});

t.test('the limit is that of both', async (t) => {
  t.match(await boot('exec sleep 60', { limitMs: 300 }), { ended: /took longer than/, starts: 1 });
  t.match(await boot('exec sleep 60', { silenceMs: 1000, limitMs: 1500 }), {
    ended: /took longer than/,
    starts: 2,
  });
});
