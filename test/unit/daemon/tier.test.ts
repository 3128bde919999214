import t from 'tap';
import { type Layer, TierKeeper } from '#src/daemon/tier.ts';
import type { CompiledPolicy } from '#src/policy/types.ts';
import { policy } from '#test/unit/proxy/harness.ts';

function layer(change: Partial<Layer> = {}) {
  const detached: true[] = [];
  const made: Layer = {
    attach: () => null,
    replace: () => null,
    detach: () => void detached.push(true),
    missing: () => [],
    ...change,
  };
  return { made, detached };
}

const demanding: CompiledPolicy = policy([], [], { enforcement: { minimum: 'lsm' } });
const content = policy([], []);

t.test('attached and refusing all: lsm', async (t) => {
  const keeper = new TierKeeper(layer().made);
  t.match(keeper.state, { tier: 'base', reason: /not been tried/ });
  t.throws(() => keeper.demand(demanding), { code: 'NOT_SUPPORTED' }, 'not assumed before it is measured');
  t.same(await keeper.raise(async () => null), { tier: 'lsm', reason: null, fallen: false });
  keeper.demand(demanding);
});

t.test('a kernel that does not take it: base, and nothing is tried', async (t) => {
  const keeper = new TierKeeper(layer({ attach: () => 'refused: EPERM' }).made);
  const state = await keeper.raise(() => {
    throw new Error('tried');
  });
  t.same(state, { tier: 'base', reason: 'refused: EPERM', fallen: false });
  t.same(keeper.measured(null), state, 'whatever else may have refused the canary');
  keeper.demand(content);
  t.throws(() => keeper.demand(demanding), {
    code: 'NOT_SUPPORTED',
    message: /demands the enforcement tier lsm, and this host has base: refused: EPERM/,
    hint: /lsm=/,
  });
});

t.test('a kernel that takes it and never asks: base, and it is taken away again', async (t) => {
  const { made, detached } = layer();
  const keeper = new TierKeeper(made);
  const { tier, reason } = await keeper.raise(async () => 'lsm_create was allowed');
  t.equal(tier, 'base');
  t.match(reason, /does not ask them \(lsm_create was allowed\)/);
  t.equal(detached.length, 1);
});

t.test('what stops refusing, or loses its pin, is base from then on, and may come back', async (t) => {
  let missing: string[] = [];
  const { made, detached } = layer({ missing: () => missing });
  const keeper = new TierKeeper(made);
  await keeper.raise(async () => null);
  t.match(keeper.measured('lsm_send was allowed'), { tier: 'base', reason: /lsm_send/, fallen: true });
  t.match(keeper.shortOf(demanding), /lsm_send/);
  t.equal(keeper.shortOf(content), null);
  t.same(keeper.measured(null), { tier: 'lsm', reason: null, fallen: false });
  missing = ['sluice_lsm_unix_send'];
  t.match(keeper.measured(null), { tier: 'base', reason: /pinned: sluice_lsm_unix_send/ });
  t.same(detached, [], 'what is left of it stays');
});
