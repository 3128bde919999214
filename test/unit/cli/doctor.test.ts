import t, { type Test } from 'tap';
import { serveApi } from '#src/api/server.ts';
import { SluiceError } from '#src/core/errors.ts';
import { FakeBackend } from '../api/sample.ts';
import { temporaryDirectory } from '../api/temporary.ts';
import { testCli } from './in-process.ts';
import { setStage } from './script.ts';

/** What the host itself is like is not for a unit test to say: only the lines about the daemon are compared. */
const ABOUT_DAEMON = /^.{4} {2}(daemon|programs|tier|namespaces|canary) .*/ms;

async function served(t: Test, backend: FakeBackend): Promise<string> {
  const directory = temporaryDirectory(t);
  const server = await serveApi(`${directory}/api.sock`, backend);
  t.teardown(() => server.close());
  return directory;
}

t.test('a daemon in good order', async (t) => {
  const done = await testCli(['doctor', '--runtime-dir', await served(t, new FakeBackend())]);
  t.equal(
    ABOUT_DAEMON.exec(done.stdout)?.[0],
    `\
ok    daemon        version 0.1.0, tier base, policy 0123456789ab
ok    programs      1 in force
warn  tier          base: the kernel does not load programs for the BPF LSM
      mend: boot a kernel with CONFIG_BPF_LSM=y and bpf in lsm= on its command line; until then take CAP_NET_RAW from agents and restrict their address families
ok    namespaces    0 beside the daemon's own with agents in them
ok    canary        canary refused
`,
  );
});

t.test('each failure has its mend, and one is enough for exit code 1', async (t) => {
  const backend = new FakeBackend();
  backend.selfTestAnswer = { at: '', ok: false, detail: 'it got out\u001b[2J' };
  const done = await testCli(['doctor', '--runtime-dir', await served(t, backend)]);
  t.match(done.stdout, /^FAIL {2}canary {8}it got out\\x1b\[2J\n {6}mend: agents may not be governed/m);
  t.equal(done.code, 1);
});

t.test('without a daemon the pins are asked, and a check that breaks does not end the others', async (t) => {
  const done = await testCli(['doctor', '--runtime-dir', temporaryDirectory(t)], {
    describePins: () => Promise.reject(new SluiceError('PERMISSION', 'may not', { hint: 'be root' })),
  });
  t.match(done.stdout, /^FAIL {2}programs {6}cannot be checked: may not\n {6}mend: be root$/m);
  t.match(done.stdout, /^FAIL {2}canary {8}not tried: the daemon is not running/m);
});

t.test('json: one finding a line, with names that stay', async (t) => {
  const stage = await setStage(t, new FakeBackend());
  const done = await stage.sh('sluice doctor --output json');
  const findings = done.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  t.same(
    findings.map((finding) => finding['check']),
    [
      'kernel',
      'btf',
      'cgroup',
      'capabilities',
      'bpffs',
      'build',
      'worker user',
      'daemon',
      'programs',
      'tier',
      'namespaces',
      'canary',
    ],
  );
  t.equal(done.code, findings.some((finding) => finding['level'] === 'fail') ? 1 : 0);
});
