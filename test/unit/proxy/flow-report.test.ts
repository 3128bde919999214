import t from 'tap';
import type { Granted, Refused } from '#src/policy/types.ts';
import { describeDefect, FlowDraft } from '#src/proxy/flow-report.ts';
import { destination, facts } from './harness.ts';

const grant: Granted = {
  kind: 'allow',
  rule: 'r',
  reason: null,
  destination: destination(),
  mode: 'upgrade',
  serverName: { name: 'server.test', source: 'policy' },
  upstreamPort: 443,
};
const refused: Refused = { kind: 'deny', rule: null, code: 'no_rule', reason: 'nothing allows it' };

const draft = (): FlowDraft =>
  new FlowDraft({
    id: '0000000000000001',
    facts: facts({ port: 80 }),
    policyRevision: 'aaaaaaaaaaaa',
    worker: 0,
    src: { ip: '127.0.0.1', port: 1 },
  });

t.test('a draft becomes a report once', async (t) => {
  const one = draft();
  one.finish('ok', null, 1.23456);
  t.throws(() => one.finish('ok', null, 1), /reported twice/);
});

t.test('verdict and disposition follow from decision, progress and reason', async (t) => {
  const cases = [
    [null, false, 'protocol_error', 'deny', 'denied'],
    [null, false, 'agent_reset', 'error', 'denied'],
    [refused, false, 'no_rule', 'deny', 'denied'],
    [refused, false, 'agent_reset', 'deny', 'denied'],
    [grant, false, 'connect_refused', 'error', 'denied'],
    [grant, true, 'ok', 'allow', 'upgraded'],
    [grant, true, 'agent_reset', 'allow', 'upgraded'],
    [grant, true, 'server_reset', 'allow', 'upgraded'],
    [grant, true, 'protocol_error', 'error', 'upgraded'],
    [grant, true, 'worker_died', 'error', 'upgraded'],
    [{ ...grant, mode: 'passthrough' }, true, 'ok', 'allow', 'passthrough'],
    [{ ...grant, mode: 'exempt' }, true, 'ok', 'allow', 'exempt'],
  ] as const;
  for (const [decision, established, reason, verdict, disposition] of cases) {
    const one = draft();
    one.decision = decision;
    one.established = established;
    t.match(one.finish(reason, null, 1), { verdict, disposition }, `${reason} ${verdict}`);
  }
});

t.test('a defect is described without its message', async (t) => {
  const error = Object.assign(new TypeError('password=hunter2'), { code: 'ERR_X' });
  t.match(describeDefect(error), /^unexpected TypeError ERR_X/);
  t.notMatch(describeDefect(error), /hunter2/);
  t.equal(describeDefect('text'), 'unexpected string');
});
