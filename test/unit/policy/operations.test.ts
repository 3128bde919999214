import t from 'tap';
import type { Effect, Operation } from '#src/flow/operation.ts';
import { preparePolicy } from '#src/policy/decide.ts';
import { parseColumnPattern, parseNamePattern } from '#src/policy/name-pattern.ts';
import { fitsOperation, judgeOperation, operationRules } from '#src/policy/operations.ts';
import type { CompiledOperationRule, FlowQuestion } from '#src/policy/types.ts';
import { policyOf } from '#test/support/policy-text.ts';

const operation = (
  effects: readonly Effect[],
  relations: readonly string[] = [],
  functions: readonly string[] = [],
  columns: readonly string[] = [],
): Operation => ({
  protocol: 'postgres',
  verb: 'X',
  effects: new Set(effects),
  relations: relations.map(parseNamePattern),
  functions: functions.map(parseNamePattern),
  columns: columns.map(parseColumnPattern),
});

const compiled = (conditions: string, action = 'deny'): CompiledOperationRule => {
  const [rule] = policyOf(`
agents: [{name: web, match: [{uid: 1}]}]
destinations: [{name: db, cidrs: [10.0.0.1], protocol: postgres}]
operations: [{name: r, destinations: [db], ${conditions}action: ${action}}]`).operations;
  if (rule === undefined) throw new Error('no rule');
  return rule;
};

t.test('of several conditions all must hold, of the values of one any', async (t) => {
  const rule = compiled('effects: [write, code], relations: [a, s.b], functions: [f], ');
  t.ok(fitsOperation(rule, operation(['read', 'write'], ['x', 's.b'], ['f'])));
  t.notOk(fitsOperation(rule, operation(['read'], ['a'], ['f'])), 'another effect');
  t.notOk(fitsOperation(rule, operation(['write'], ['x'], ['f'])), 'another relation');
  t.notOk(fitsOperation(rule, operation(['write'], ['a'], ['g'])), 'another function');
  t.ok(fitsOperation(compiled(''), operation([])), 'without conditions: everything');
});

t.test('a list of what is allowed denies the rest, and what it may not be sure of', async (t) => {
  const rule = compiled('relations_other_than: [orders, shop.items], ');
  t.notOk(fitsOperation(rule, operation(['read'], ['orders', 'shop.items'])));
  t.ok(fitsOperation(rule, operation(['read'], ['orders', 'secrets'])));
  t.ok(fitsOperation(rule, operation(['read'], ['items'])), 'it might be of another schema');
  t.notOk(fitsOperation(rule, operation(['read'])), 'about nothing');
});

t.test('columns: one that may be meant, and one that is not certainly allowed', async (t) => {
  const takes = (...columns: string[]): Operation => operation(['read'], [], [], columns);
  const any = compiled('columns: [people.ssn, "*_secret"], ');
  for (const column of ['people.ssn', 'hr.people.ssn', 'ssn', 'people.*', 'x.a_secret', 'x.*'])
    t.ok(fitsOperation(any, takes('people.id', column)), column);
  t.notOk(fitsOperation(any, takes('people.id', 'others.ssn')));
  t.notOk(fitsOperation(any, takes()));
  const but = compiled(
    'relations: [orders], columns_other_than: [orders.id, "orders.ship_*", shop.items.id, note], ',
  );
  const fits = (...columns: string[]) => fitsOperation(but, operation(['read'], ['orders'], [], columns));
  t.notOk(fits('orders.id', 'orders.ship_to', 's.orders.id', 'shop.items.id', 'any.note', 'note'));
  for (const column of ['orders.card', 'orders.*', 'id', 'items.id', 'x.items.id', '*'])
    t.ok(fits('orders.id', column), column);
  t.notOk(fits(), 'none is taken');
  const whole = compiled('columns_other_than: ["orders.*"], ');
  t.notOk(fitsOperation(whole, takes('orders.*', 'orders.id')), 'all are allowed');
});

t.test('the first that denies is told; what only observes lets pass', async (t) => {
  const watch = { ...compiled('effects: [write], ', 'observe'), name: 'watch' };
  const deny = { ...compiled('effects: [code], '), name: 'deny' };
  const other = { ...compiled(''), name: 'other' };
  t.strictSame(judgeOperation([watch, deny], operation(['write'])), {
    denied: null,
    held: [],
    observed: true,
  });
  t.match(judgeOperation([watch, deny, other], operation(['write', 'code'])), {
    denied: { name: 'deny' },
    observed: true,
  });
  t.strictSame(judgeOperation([deny], operation(['read'])), { denied: null, held: [], observed: false });
});

t.test('a rule counts for a flow unless it certainly means another server or agent', async (t) => {
  const policy = preparePolicy(
    policyOf(`
agents: [{name: web, match: [{uid: 1}]}, {name: job, match: [{uid: 2}]}]
destinations:
  - {name: db, cidrs: [10.0.0.1], ports: [5432], protocol: postgres}
  - {name: anything, cidrs: [10.0.0.0/8]}
rules: [{name: all, action: allow}]
operations: [{name: r, agents: [web], destinations: [db], action: deny}]`),
  );
  const ask = (change: Partial<FlowQuestion>): number =>
    operationRules(policy, { agent: 'web', ip: '10.0.0.1', port: 5432, dnsName: null, ...change }).length;
  const seen = (protocol: 'postgres' | 'http' | 'tls' | 'unknown') => ({
    protocol,
    agentTls: protocol === 'tls',
    name: null,
  });
  t.equal(ask({ seen: seen('postgres') }), 1);
  t.equal(ask({ seen: seen('postgres'), agent: 'job' }), 0);
  t.equal(ask({ seen: seen('postgres'), port: 5433 }), 0);
  t.equal(ask({ seen: seen('postgres'), ip: '10.0.0.2' }), 0);
  t.equal(ask({ seen: seen('http') }), 0, 'it is another protocol');
  t.equal(ask({ seen: seen('tls') }), 1, 'inside the agent’s own TLS it may be this one');
  t.equal(ask({}), 1, 'so it may where nobody looks');
});

t.test('what holds is told unless something denies', async (t) => {
  const hold = { ...compiled('effects: [write], ', 'hold'), name: 'hold' };
  const deny = { ...compiled('effects: [code], '), name: 'deny' };
  t.equal(hold.holdTimeoutMs, 300_000, 'five minutes');
  t.equal(compiled('hold: {timeout_seconds: 7}, ', 'hold').holdTimeoutMs, 7_000);
  t.equal(deny.holdTimeoutMs, null);
  t.match(judgeOperation([deny, hold], operation(['write'])), { denied: null, held: [{ name: 'hold' }] });
  t.match(judgeOperation([hold, deny], operation(['write', 'code'])), { denied: { name: 'deny' } });
});
