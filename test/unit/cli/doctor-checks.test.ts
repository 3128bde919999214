import t from 'tap';
import {
  checkBpffs,
  checkBtf,
  checkBuild,
  checkCanary,
  checkCapabilities,
  checkCgroup,
  checkDaemon,
  checkKernel,
  checkNamespaces,
  checkPrograms,
  checkTier,
  checkWorkerUser,
} from '#src/cli/doctor-checks.ts';
import { SluiceError } from '#src/core/errors.ts';
import { sampleStatus } from '../api/sample.ts';

const UNIFIED = '30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw';
const HYBRID = [
  '31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
  '32 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu',
].join('\n');
const BPFFS = '40 23 0:35 / /sys/fs/bpf rw shared:9 - bpf bpf rw,mode=700';
const down = new SluiceError('NOT_RUNNING', 'not running', { hint: 'start it' });

t.test('kernel', async (t) => {
  for (const release of ['6.1.0-13-amd64', '6.12.1', '7.0', '10.2'])
    t.equal(checkKernel(release).level, 'ok', release);
  for (const release of ['6.0.19', '5.10.0-28-amd64', '4.19', 'x']) {
    t.match(checkKernel(release), { level: 'fail', mend: /newer kernel/ }, release);
  }
});

t.test('btf and build', async (t) => {
  t.equal(checkBtf(true).level, 'ok');
  t.match(checkBtf(false), { level: 'fail', mend: /CONFIG_DEBUG_INFO_BTF/ });
  const whole = { addonError: null, objects: 6, canary: true };
  t.equal(checkBuild(whole).level, 'ok');
  for (const change of [{ addonError: 'cannot be loaded' }, { objects: 0 }, { canary: false }]) {
    t.match(checkBuild({ ...whole, ...change }), { level: 'fail', mend: /npm run build/ });
  }
});

t.test('mounts', async (t) => {
  t.same(checkCgroup(UNIFIED), { level: 'ok', text: '/sys/fs/cgroup', mend: null });
  t.match(checkCgroup(HYBRID, false), { level: 'ok', text: /^\/sys\/fs\/cgroup\/unified \(hybrid/ });
  t.match(checkCgroup(HYBRID, true), { level: 'fail', mend: /unified_cgroup_hierarchy=1/ });
  t.match(checkCgroup(BPFFS), { level: 'fail', mend: /cgroup/ });
  t.equal(checkBpffs(`${UNIFIED}\n${BPFFS}`).level, 'ok');
  t.match(checkBpffs(UNIFIED), { level: 'fail', mend: 'mount -t bpf bpf /sys/fs/bpf' });
  t.equal(
    checkBpffs('40 23 0:35 / /sys/fs/bpf rw - tmpfs tmpfs rw').level,
    'fail',
    'something else is there',
  );
});

t.test('capabilities', async (t) => {
  t.equal(checkCapabilities('CapPrm:\t0\nCapEff:\t000001ffffffffff\n').level, 'ok');
  t.match(checkCapabilities('CapEff:\t0000000000001000\n'), {
    level: 'fail',
    text: 'without CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF',
  });
  t.match(checkCapabilities(''), { level: 'fail', text: /CAP_NET_ADMIN/ });
});

t.test('worker user', async (t) => {
  const passwd = 'root:x:0:0::/root:/bin/sh\nsluice:x:990:990::/:/usr/sbin/nologin\n';
  t.same(checkWorkerUser('sluice', passwd), { level: 'ok', text: 'sluice, uid 990', mend: null });
  t.match(checkWorkerUser('other', passwd), { level: 'fail', mend: /^useradd --system .* other/ });
  t.match(checkWorkerUser('root', passwd), { level: 'fail', mend: /--worker-user/ });
});

t.test('daemon', async (t) => {
  t.equal(checkDaemon(sampleStatus()).level, 'ok');
  t.match(checkDaemon(sampleStatus({ reasons: ['disk full'] })), { level: 'warn', text: 'disk full' });
  const store = { ...sampleStatus().store, ok: false, error: 'disk full' };
  t.match(checkDaemon(sampleStatus({ store })), { level: 'warn', text: /disk full/ });
  t.match(checkDaemon(sampleStatus({ enforcing: false, reasons: ['x'] })), { level: 'fail', text: /x$/ });
  t.same(checkDaemon(down), { level: 'fail', text: 'not running', mend: 'start it' });
});

t.test('programs', async (t) => {
  const { programs } = sampleStatus();
  const idle = programs.map((program) => ({ ...program, effective: false }));
  t.equal(checkPrograms(sampleStatus(), null).level, 'ok');
  t.match(checkPrograms(sampleStatus({ programs: idle }), null), { level: 'fail', text: /sluice_connect4/ });
  t.equal(checkPrograms(sampleStatus({ programs: [] }), null).level, 'fail');
  t.equal(checkPrograms(down, null).level, 'fail', 'no daemon and nothing pinned');
  t.match(checkPrograms(down, programs), { level: 'warn', text: /agents cannot connect/ });
  t.equal(checkPrograms(down, idle).level, 'fail');
});

t.test('namespaces', async (t) => {
  const counted = (counts: Record<string, number>) => checkNamespaces(sampleStatus({ counters: counts }));
  t.match(counted({ 'namespaces.served': 3 }), { level: 'ok', text: /^3 beside the daemon's own/ });
  t.match(counted({ 'namespaces.refused_owner': 1 }), { level: 'ok', text: /made by an unprivileged user/ });
  t.match(counted({ 'namespaces.refused_limit': 2 }), { level: 'warn', mend: /journalctl/ });
  t.match(counted({ 'namespaces.refused_error': 2 }), { level: 'warn', text: /no listener/ });
  t.equal(checkNamespaces(down), null, 'nobody to ask');
});

t.test('tier', async (t) => {
  t.match(checkTier(sampleStatus({ tier: 'lsm', tierReason: null }), null), { level: 'ok', text: /^lsm: / });
  const base = checkTier(sampleStatus({ tier: 'base', tierReason: 'refused' }), ['bpf']);
  t.match(base, { level: 'warn', text: 'base: refused', mend: /lsm=/ });
  t.match(checkTier(down, ['landlock', 'bpf']), { level: 'ok', text: /not measured.*lists/ });
  t.match(checkTier(down, ['landlock']), { level: 'warn', text: /landlock, without bpf/ });
  t.match(checkTier(down, null), { level: 'ok', text: /not measured/ });
});

t.test('canary', async (t) => {
  const at = '2026-01-31T12:00:00Z';
  t.same(checkCanary({ at, ok: true, detail: 'refused' }), { level: 'ok', text: 'refused', mend: null });
  t.match(checkCanary({ at, ok: false, detail: 'it got out' }), { level: 'fail', text: 'it got out' });
  t.same(checkCanary(down), { level: 'fail', text: 'not tried: not running', mend: 'start it' });
});
