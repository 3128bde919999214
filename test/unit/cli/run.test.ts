import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { FakeBackend } from '../api/sample.ts';
import { temporaryDirectory } from '../api/temporary.ts';
import { type Stage, script, setStage } from './script.ts';

/** A plain directory does for a cgroup: what the shell writes into cgroup.procs stays there to be read. */
function backendWithCgroup(t: Test): FakeBackend {
  const backend = new FakeBackend();
  backend.runAnswer = { cgroupPath: temporaryDirectory(t), agentKnown: true };
  return backend;
}

t.test('passes on arguments, output and exit code', async (t) => {
  const backend = backendWithCgroup(t);
  await script(
    t,
    backend,
    `
$ sluice run -- printf '<%s>' a 'b  c' '' '*' '$HOME'
| <a><b  c><><*><$HOME>
$ echo input | sluice run -- sh -c 'cat; echo error >&2; exit 7'
| input
! error
= 7
$ sluice run --as other -- echo -- --as x
| -- --as x
$ sluice run echo --help --runtime-dir
| --help --runtime-dir
$ sluice run -- sh -c 'kill -KILL $$'
= 137
$ sluice run -- sh -c 'env | grep ^SLUICE_IGNORED'
= 1
`,
  );
  t.same(backend.runs, ['printf', 'sh', 'other', 'echo', 'sh', 'sh'], 'named after the command, or as asked');
  t.same(new Set(backend.released), new Set([backend.runAnswer.cgroupPath]));
  t.equal(backend.released.length, backend.runs.length, 'each cgroup is given back');
});

t.test('the command is in the cgroup before its first instruction', async (t) => {
  const backend = backendWithCgroup(t);
  const procs = join(backend.runAnswer.cgroupPath, 'cgroup.procs');
  const stage = await setStage(t, backend);
  const done = await stage.sh(`sluice run -- sh -c 'echo $$; cat ${procs}'`);
  const [pid, entered] = done.stdout.split('\n');
  t.match(pid, /^\d+$/);
  t.equal(entered, pid, 'its own pid was written, and before it ran');
});

t.test('what cannot be protected is not run', async (t) => {
  const backend = new FakeBackend();
  backend.runAnswer = { cgroupPath: '/nonexistent/cgroup', agentKnown: true };
  await script(
    t,
    backend,
    `
$ sluice run -- echo ran
! sluice: cannot enter the cgroup /nonexistent/cgroup; the command was not run
= 125
`,
  );
  await t.test('without a daemon', (t) =>
    script(
      t,
      null,
      `
$ sluice run -- echo ran
! sluice: not run, because it would be unprotected: the daemon is not running (nobody answers at DIR/run/api.sock)
!   hint: start it: sluice daemon --policy FILE, or: systemctl start sluice
= 125
`,
    ),
  );
});

t.test('what cannot be run is said as env(1) does', async (t) => {
  const backend = backendWithCgroup(t);
  await script(
    t,
    backend,
    `
-- plain --
no program
$ sluice run -- no-such-command
! sluice: no-such-command: not found
= 127
$ sluice run -- ./no-such-command
! sluice: ./no-such-command: not found
= 127
$ sluice run -- ./plain
! sluice: ./plain: not executable
= 126
$ sluice run -- /
! sluice: /: not executable
= 126
$ printf '#!/nonexistent\\n' >script && chmod +x script && sluice run -- ./script
!~ not found
= 127
$ sluice run
! sluice: missing required argument 'command'
!   hint: add --help, or see: sluice help
= 2
`,
  );
});

t.test('an agent the policy does not know is a warning', async (t) => {
  const backend = backendWithCgroup(t);
  backend.runAnswer = { ...backend.runAnswer, agentKnown: false };
  await script(
    t,
    backend,
    `
$ sluice run -- echo ran
| ran
! sluice: warning: no agent of the policy is named echo
!   hint: nothing is allowed to it; give it a name of the policy with --as NAME
`,
  );
});

t.test('a signal that was ignored stays ignored, as nohup wants it', async (t) => {
  await script(
    t,
    backendWithCgroup(t),
    `
$ trap '' HUP; sluice run -- sh -c 'kill -HUP $$; kill -HUP $PPID; echo alive'
| alive
$ sluice run -- sh -c 'kill -HUP $$; echo alive'
= 129
`,
  );
});

t.test('a reader that stops reading ends the command as without Sluice', async (t) => {
  const stage = await setStage(t, backendWithCgroup(t));
  const done = await stage.sh('(sluice run -- yes; echo $? >&2) | head -n 1');
  t.same(done, { stdout: 'y\n', stderr: '141\n', code: 0 });
});

t.test('all of a large output arrives', async (t) => {
  const stage = await setStage(t, backendWithCgroup(t));
  const done = await stage.sh('sluice run -- head -c 8000000 /dev/zero | (sleep 0.1; wc -c)');
  t.equal(done.stdout.trim(), '8000000');
});

interface Wrapped {
  readonly child: ChildProcess;
  /** Next line of its output. */
  next(): Promise<string>;
  /** Exit code. */
  readonly ended: Promise<number | null>;
}

function start(stage: Stage, command: string, args: readonly string[]): Wrapped {
  const child = spawn(command, args, { env: stage.env, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    next: async () => String((await lines.next()).value).trim(),
    ended: once(child, 'close').then(([code]) => code as number | null),
  };
}

/** Says what it catches; `wait` lets it do so at once. USR2 ends it with code 9; left alone, it ends by itself. */
const CATCHER = `
for name in INT TERM HUP QUIT USR1 WINCH; do trap "echo $name" $name; done
sleep 600 & waited=$!
trap 'echo USR2; kill $waited; exit 9' USR2
echo "ready $PPID"
while kill -0 $waited; do wait $waited; done
`;

t.test('signals sent to the wrapper reach the command, which may stay', async (t) => {
  const stage = await setStage(t, backendWithCgroup(t));
  const wrapped = start(stage, 'sluice', ['run', '--', 'sh', '-c', CATCHER]);
  t.match(await wrapped.next(), /^ready /);
  for (const name of ['INT', 'TERM', 'HUP', 'QUIT', 'USR1', 'WINCH', 'TERM', 'USR2'] as const) {
    wrapped.child.kill(`SIG${name}`);
    t.equal(await wrapped.next(), name);
  }
  t.equal(await wrapped.ended, 9);
});

t.test('Ctrl-C at a terminal reaches the command once', async (t) => {
  const stage = await setStage(t, backendWithCgroup(t));
  writeFileSync(join(stage.directory, 'catcher'), CATCHER);
  const command = `exec sluice run -- sh ${stage.directory}/catcher`;
  const wrapped = start(stage, 'script', ['-qec', command, '/dev/null']);
  const pid = Number(/^ready (\d+)$/.exec(await wrapped.next())?.[1]);
  wrapped.child.stdin?.write('\u0003');
  t.match(await wrapped.next(), /INT$/, 'the terminal echoes ^C before it');
  // Signals are passed on in their order, so a second INT would come before this.
  process.kill(pid, 'SIGUSR1');
  t.equal(await wrapped.next(), 'USR1');
  process.kill(pid, 'SIGUSR2');
  t.equal(await wrapped.next(), 'USR2');
  t.equal(await wrapped.ended, 9);
});

t.test('the command has the terminal', async (t) => {
  const stage = await setStage(t, backendWithCgroup(t));
  const inner = 'test -t 0 && test -t 1 && test -t 2 && : >/dev/tty && echo terminal';
  const wrapped = start(stage, 'script', ['-qec', `exec sluice run -- sh -c '${inner}'`, '/dev/null']);
  t.equal(await wrapped.next(), 'terminal');
  t.equal(await wrapped.ended, 0);
});
