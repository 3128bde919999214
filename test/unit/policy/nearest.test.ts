import t from 'tap';
import { nearest, unknownHint } from '#src/policy/nearest.ts';

t.test('finds slips, not other words', (t) => {
  const known = ['destinations', 'agents', 'rules', 'passthrough'];
  t.equal(nearest('destination', known), 'destinations');
  t.equal(nearest('Agents', known), 'agents');
  t.equal(nearest('agnets', known), 'agents', 'swapped letters');
  t.equal(nearest('pass_through', known), 'passthrough');
  t.equal(nearest('verdicts', known), null);
  t.equal(nearest('x', ['y', 'zz']), 'y');
  t.equal(nearest('anything', []), null);
  t.equal(nearest('a'.repeat(10_000), ['a'.repeat(9_999)]), null, 'work is bounded');
  t.end();
});

t.test('hints', (t) => {
  t.equal(unknownHint('biling', ['billing'], 'agent'), 'did you mean "billing"?');
  t.equal(unknownHint('web', ['billing', 'ledger'], 'agent'), 'known: billing, ledger');
  t.equal(unknownHint('web', [], 'agent'), 'no agent is defined');
  t.match(
    unknownHint(
      'web',
      Array.from({ length: 20 }, (_, i) => `service-${i}`),
      'agent',
    ),
    /service-11, …$/,
  );
  t.end();
});
