import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { bootGuest } from '#test/vm/boot.ts';

const LONG_MS = 60_000;
const directory = mkdtempSync(join(tmpdir(), 'sluice-boot-'));
t.teardown(() => rmSync(directory, { recursive: true }));

const GOOD =
  'printf "guest: 6.1\\nguest: file a\\nok 1\\n1..1\\n\\nguest: ended 0\\nguest: exit 0\\n" >$channel';

interface Limits {
  /** Of the first start; nothing is expected of it in that time. */
  readonly silenceMs?: number;
  readonly limitMs?: number;
  /** Has been said when it is started, and this process is kept from hearing it until that time is over. */
  readonly said?: string;
}

/** Starts a shell in the place of a guest: `script` knows `$console` and `$channel`, and how often it was started in `$count`. */
async function boot(
  script: string,
  { silenceMs = LONG_MS, limitMs = LONG_MS, said = '' }: Limits = {},
): Promise<{ ended: unknown; told: string; starts: number }> {
  const told: string[] = [];
  let starts = 0;
  const argv = (console: string, channel: string): string[] => {
    starts += 1;
    appendFileSync(channel, said);
    if (said !== '') process.nextTick(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50));
    return ['sh', '-c', `console=$0 channel=$1 count=$2; ${script}`, console, channel, String(starts)];
  };
  const onLine = (line: string): void => void told.push(line);
  const ended = await bootGuest({
    ...{ argv, env: {}, directory, onLine, onMatrix: undefined, limitMs },
    get silenceMs() {
      return starts === 1 ? silenceMs : LONG_MS;
    },
  }).catch((error: Error) => error.message);
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
  const { ended, told, starts } = await boot(`[ $count = 2 ] || exec sleep 600; ${GOOD}`, { silenceMs: 200 });
  t.match({ ended, starts }, { ended: { exitCode: 0, passed: 1 }, starts: 2 });
  t.match(told, /said nothing in/);
});

t.test('one that has spoken is not: what broke it may be Sluice', async (t) => {
  t.match(await boot('echo "guest: 6.1" >$channel'), { ended: /ended without a result/, starts: 1 });
  const said = 'guest: 6.1\n';
  const hangs = await boot('exec sleep 600', { said, silenceMs: 1, limitMs: 1_000 });
  t.match(hangs, { ended: /took longer than/, starts: 1 });
});

t.test('the limit is that of both', async (t) => {
  t.match(await boot('exec sleep 600', { limitMs: 300 }), { ended: /took longer than/, starts: 1 });
  t.match(await boot('exec sleep 600', { silenceMs: 200, limitMs: 2_500 }), {
    ended: /took longer than/,
    starts: 2,
  });
});
