import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { SluiceError } from '#src/core/errors.ts';
import { PolicyKeeper, type PolicyTargets } from '#src/daemon/policy-keeper.ts';

const NO_TABLES = {
  cgroups: [],
  uids: [],
  exes: [],
  places: [],
  dns: false,
  inbound: [],
  closedSockets: { files: [], places: [] },
  socketPaths: [],
  doubts: [],
  exePaths: [],
};
const policyOf = (agent: string): string =>
  `version: 1\nagents:\n  - { name: ${agent}, match: [{ run: ${agent} }] }\n`;

function keeper(t: Pick<Test, 'teardown'>, targets: Partial<PolicyTargets> = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-keeper-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'policy.yaml');
  writeFileSync(path, policyOf('first'));
  const steps: string[] = [];
  const all: PolicyTargets = {
    admit: () => undefined,
    tables: () => NO_TABLES,
    toWorkers: async (policy) => void steps.push(`workers ${policy.agents[0]?.name}`),
    toKernel: () => void steps.push('kernel'),
    onWarning: () => undefined,
    ...targets,
  };
  return { path, steps, keeper: new PolicyKeeper(path, all) };
}

t.test('the workers have a new policy before the kernel enrols by it', async (t) => {
  const { path, steps, keeper: policies } = keeper(t);
  t.same(steps, [], 'nothing is put in force by loading');
  writeFileSync(path, policyOf('second'));
  await policies.reload();
  t.same(steps, ['workers second', 'kernel']);
  t.equal(policies.policy.agents[0]?.name, 'second');
});

t.test('a bad file leaves the old policy in force and says why', async (t) => {
  const { path, steps, keeper: policies } = keeper(t);
  const { revision } = policies.state();
  writeFileSync(path, 'version: 1\nagentz: []\n');
  await t.rejects(policies.reload(), { code: 'POLICY', message: /:2:1: / });
  t.same(steps, []);
  t.match(policies.state(), { revision, lastError: /agentz/ });
  writeFileSync(path, policyOf('third'));
  await policies.reload();
  t.equal(policies.state().lastError, null, 'and a good one clears it');
});

t.test('an agent that cannot be enrolled keeps the workers from it too', async (t) => {
  let refuse = false;
  const {
    path,
    steps,
    keeper: policies,
  } = keeper(t, {
    tables: () => {
      if (refuse) throw new SluiceError('POLICY', 'no such executable');
      return NO_TABLES;
    },
  });
  refuse = true;
  writeFileSync(path, policyOf('second'));
  await t.rejects(policies.reload(), { message: 'no such executable' });
  t.same(steps, []);
  t.equal(policies.policy.agents[0]?.name, 'first');
});

t.test('workers that do not take it keep the kernel from it, and get the old one back', async (t) => {
  const told: (string | undefined)[] = [];
  const { path, keeper: policies } = keeper(t, {
    toWorkers: async (policy) => {
      told.push(policy.agents[0]?.name);
      if (told.length === 1) throw new SluiceError('API', 'a worker did not answer');
    },
    toKernel: () => t.fail('the kernel must not change'),
  });
  writeFileSync(path, policyOf('second'));
  await t.rejects(policies.reload(), { message: 'a worker did not answer' });
  t.same(told, ['second', 'first']);
});

t.test('a kernel that does not take it gives the workers the old one back', async (t) => {
  const {
    path,
    steps,
    keeper: policies,
  } = keeper(t, {
    toKernel: () => {
      throw new SluiceError('KERNEL', 'no room');
    },
  });
  writeFileSync(path, policyOf('second'));
  await t.rejects(policies.reload(), { message: 'no room' });
  t.same(steps, ['workers second', 'workers first']);
  t.equal(policies.policy.agents[0]?.name, 'first');
});

t.test('changes wait for each other; a document handed over is read again from its file', async (t) => {
  const { path, steps, keeper: policies } = keeper(t);
  const other = `${path}.other`;
  writeFileSync(other, policyOf('fourth'));
  const applied = policies.apply(policyOf('third'), other, (file) => readFileSync(file));
  const reloaded = policies.reload();
  await Promise.all([applied, reloaded]);
  t.same(steps, ['workers third', 'kernel', 'workers fourth', 'kernel']);
  t.equal(policies.state().path, other);
});

t.test('an executable that was replaced is enrolled anew, and only then', async (t) => {
  let inode = 1n;
  const { steps, keeper: policies } = keeper(t, {
    tables: () => ({ ...NO_TABLES, exes: [{ inode, dev: 1, agentId: 1 }] }),
  });
  t.equal(await policies.refresh(), false);
  t.same(steps, []);
  inode = 2n;
  t.equal(await policies.refresh(), true);
  t.same(steps, ['kernel']);
});
