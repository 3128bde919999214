import t from 'tap';
import { explainOperation } from '#src/policy/explain-operation.ts';
import { parseColumnPattern, parseNamePattern } from '#src/policy/name-pattern.ts';
import { policyOf } from '#test/support/policy-text.ts';

const { operations } = policyOf(`
agents: [{name: web, match: [{uid: 1}]}]
destinations: [{name: db, cidrs: [10.0.0.1], protocol: postgres}]
operations:
  - {name: effects, destinations: [db], effects: [code], action: deny}
  - {name: relations, destinations: [db], relations: [a], action: deny}
  - {name: others, destinations: [db], relations_other_than: [t], action: deny}
  - {name: functions, destinations: [db], functions: [f], action: deny}
  - {name: columns, destinations: [db], columns: [t.x], action: deny}
  - {name: other-columns, destinations: [db], columns_other_than: [t.id], action: deny}
  - {name: seen, destinations: [db], effects: [read], action: observe}
  - {name: first, destinations: [db], effects: [read], action: deny}
  - {name: second, destinations: [db], relations: [t], action: deny}
  - {name: elsewhere, destinations: [db], action: deny}`);

t.test('each rule with the condition that does not hold, and the one that denies', async (t) => {
  const holding = operations.filter(({ name }) => name !== 'elsewhere');
  const explained = explainOperation(operations, holding, {
    protocol: 'postgres',
    verb: 'SELECT',
    effects: new Set(['read']),
    relations: [parseNamePattern('t')],
    functions: [],
    columns: [parseColumnPattern('t.id')],
  });
  t.strictSame(
    explained.map(({ rule, fits, decisive, why }) => [rule, fits, decisive, why].join(', ')),
    [
      'effects, false, false, it has none of these effects',
      'relations, false, false, it names none of these relations',
      'others, false, false, it names no other relations',
      'functions, false, false, it calls none of these functions',
      'columns, false, false, it takes none of these columns',
      'other-columns, false, false, it takes no other columns',
      'seen, true, false, it fits',
      'first, true, true, it fits',
      'second, true, false, it fits',
      'elsewhere, false, false, it is for other agents or servers',
    ],
  );
});
