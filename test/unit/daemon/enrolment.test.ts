import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { enrolmentTables } from '#src/daemon/enrolment.ts';
import { kernelDevice } from '#src/identity/file-id.ts';
import { agentId } from '#src/policy/agent-id.ts';
import type { CompiledPolicy, Enrolment } from '#src/policy/types.ts';

const context = {
  selfCgroup: '/system.slice/sluice.service',
  workerUid: 998,
  apiSocket: '/nowhere/api.sock',
  canarySocket: '/nowhere/canary.sock',
};

function policy(...enrolments: Enrolment[]): CompiledPolicy {
  return {
    revision: '0'.repeat(12),
    trustDomain: 'example.org',
    spiffeTemplate: 'spiffe://{trust_domain}/{agent}',
    resolvers: ['10.0.0.53', 'fd00::53'],
    dns: {
      names: 'any',
      nameLife: { graceSeconds: 30, maxSeconds: 3600 },
      queriesPerSecond: 1,
      record: 'all',
    },
    agents: [{ id: agentId('a'), name: 'a', groups: [], enrolments }],
    destinations: [],
    rules: [],
    operations: [],
    masks: [],
    detectors: [],
    maskKeys: [],
    inbound: [],
    enforcement: { minimum: 'base' },
    closedSockets: [],
    limits: { detectTimeoutMs: 1, connectTimeoutMs: 1, handshakeTimeoutMs: 1 },
  };
}

t.test('each kind of enrolment goes to its table', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-enrolment-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const exe = join(dir, 'program');
  writeFileSync(exe, '');
  const tables = enrolmentTables(
    policy(
      { kind: 'cgroup', path: '/x.slice/y' },
      { kind: 'uid', first: 1001, last: 1003 },
      { kind: 'exe', path: exe, sha256: null },
    ),
    context,
  );
  const id = agentId('a');
  const stat = statSync(exe, { bigint: true });
  t.match(tables.cgroups.at(-1), { path: '/x.slice/y', agentId: id });
  t.same(tables.uids, [{ first: 1001, last: 1003, agentId: id }]);
  t.same(tables.exes, [{ inode: stat.ino, dev: kernelDevice(stat.dev), agentId: id }]);
  const directory = statSync(dir, { bigint: true });
  t.same(tables.places, [
    { directoryInode: directory.ino, dev: kernelDevice(directory.dev), name: 'program' },
  ]);
  t.same(tables.exePaths, [exe]);
  t.equal(tables.dns, true);
  t.equal(enrolmentTables({ ...policy(), resolvers: [] }, context).dns, false, 'no resolvers, no DNS');
});

t.test('a run under any name is governed, whatever policy says', async (t) => {
  const { cgroups } = enrolmentTables(policy(), context);
  t.same(cgroups, [
    { path: '/sluice/run', agentId: agentId('sluice-unknown') },
    { path: '/sluice/run/sluice-canary', agentId: agentId('sluice-canary') },
  ]);
});

t.test('what would make the daemon its own agent is refused', async (t) => {
  for (const path of ['/', '/system.slice', '/system.slice/sluice.service'])
    t.throws(() => enrolmentTables(policy({ kind: 'cgroup', path }), context), {
      code: 'POLICY',
      message: /holds the daemon/,
    });
  t.doesNotThrow(() =>
    enrolmentTables(policy({ kind: 'cgroup', path: '/system.slice/sluice.service-not' }), context),
  );
  for (const [first, last] of [
    [998, 998],
    [0, 1000],
  ] as const)
    t.throws(() => enrolmentTables(policy({ kind: 'uid', first, last }), context), {
      message: /uid 998 is the workers/,
    });
  t.doesNotThrow(() => enrolmentTables(policy({ kind: 'uid', first: 999, last: 1000 }), context));
});

t.test('an executable that is not there is said, not left out', async (t) => {
  t.throws(() => enrolmentTables(policy({ kind: 'exe', path: '/no/such/program', sha256: null }), context), {
    code: 'POLICY',
    message: /agent a: executable \/no\/such\/program/,
  });
});

t.test('device numbers are the kernel’s', async (t) => {
  // makedev(3): 254:1 is 0xfe01 to userspace, and 254 << 20 | 1 inside.
  t.equal(kernelDevice(0xfe01n), (254 << 20) | 1);
  t.equal(kernelDevice(0x1200834n), (8 << 20) | 0x1234, 'a minor number of more than eight bits');
});

t.test(
  'a pinned executable is the agent with its content only, and governed as unknown with any other',
  async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-enrolment-'));
    t.teardown(() => rmSync(dir, { recursive: true }));
    const exe = join(dir, 'program');
    writeFileSync(exe, 'abc');
    // The example of FIPS 180-2.
    const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    const right = enrolmentTables(policy({ kind: 'exe', path: exe, sha256: abc }), context);
    t.equal(right.exes[0]?.agentId, agentId('a'));
    t.same(right.doubts, []);
    writeFileSync(exe, 'abd');
    const wrong = enrolmentTables(policy({ kind: 'exe', path: exe, sha256: abc }), context);
    t.equal(wrong.exes[0]?.agentId, agentId('sluice-unknown'));
    t.match(wrong.doubts, [
      /program is not the file that policy pins for the agent a: its sha256 is [0-9a-f]{64}/,
    ]);
  },
);
