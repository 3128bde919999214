import t from 'tap';
import type { Answerer, FlowHold, HoldOutcome } from '#src/flow/hold.ts';
import type { Effect, Operation } from '#src/flow/operation.ts';
import type { CompiledOperationRule } from '#src/policy/types.ts';
import { LATER } from '#src/protocols/layer.ts';
import type { Denial } from '#src/protocols/postgres/denials.ts';
import { type Approver, NO_APPROVER, type Question } from '#src/proxy/approver.ts';
import { Holder } from '#src/proxy/holder.ts';

const rule = (name: string, effect: Effect, holdTimeoutMs = 60_000): CompiledOperationRule => ({
  name,
  agents: [],
  destinations: ['db'],
  effects: [effect],
  relations: [],
  relationsOtherThan: null,
  functions: [],
  columns: [],
  columnsOtherThan: null,
  action: 'hold',
  holdTimeoutMs,
  reason: name === 'why' ? 'because' : null,
});
const operation = (verb: string, effect: Effect): Operation => ({
  protocol: 'postgres',
  verb,
  effects: new Set([effect]),
  relations: [],
  functions: [],
  columns: [],
});
const REMOVE = operation('DELETE', 'write');
const ROOT: Answerer = { uid: 0, user: 'root', login: 'alice' };
const SHOWN = { texts: [], values: [] };
const READ = operation('SELECT', 'read');

function holderOf(rules: CompiledOperationRule[], approver?: Approver) {
  const asked: Question[] = [];
  const counts = { held: 0, approved: 0, denied: 0, withdrawn: 0 };
  const refused: string[] = [];
  const answers: (Denial | null)[] = [];
  const ended: FlowHold[] = [];
  const withdrawn: HoldOutcome[] = [];
  const holder = new Holder({
    rules,
    approver: approver ?? {
      ask: (question) => {
        asked.push(question);
        return (outcome) => {
          counts.withdrawn += 1;
          withdrawn.push(outcome);
        };
      },
      refused: () => void refused.push('one'),
    },
    flow: 'f',
    agent: 'web',
    onHeld: (count) => {
      counts.held += count;
    },
    onEnded: (count, hold) => {
      counts[hold.outcome === 'approved' ? 'approved' : 'denied'] += count;
      ended.push(hold);
    },
  });
  const answered = new Promise<void>((resolve) => {
    holder.start((answer) => {
      answers.push(answer);
      resolve();
    });
  });
  return { holder, asked, counts, answers, answered, ended, withdrawn, refused };
}

t.test('without anybody to ask it is denied at once, and says so', async (t) => {
  const { holder, counts } = holderOf([rule('why', 'write')], NO_APPROVER);
  t.strictSame(holder.decide([REMOVE], SHOWN), {
    sqlState: '42501',
    message: 'Sluice: DELETE needs approval by rule "why" (because), and nobody can approve it here',
    hint: 'The statement has not been run. The session goes on.',
  });
  t.match(counts, { held: 1, approved: 0, denied: 1 });
});

t.test('who is asked is told of all operations and of the rules; the shortest time holds', async (t) => {
  const { holder, asked, counts, answers } = holderOf([
    rule('r', 'write'),
    rule('s', 'write', 5_000),
    rule('x', 'code'),
  ]);
  t.equal(holder.decide([READ, REMOVE], SHOWN), LATER);
  t.match(asked, [
    {
      held: { flow: 'f', agent: 'web', rules: ['r', 's'], verbs: ['SELECT', 'DELETE'], timeoutMs: 5_000 },
    },
  ]);
  asked[0]?.answered({ outcome: 'approved', reason: null, by: ROOT });
  t.strictSame(answers, [null]);
  t.strictSame(counts, { held: 1, approved: 1, denied: 0, withdrawn: 1 });
  asked[0]?.answered({ outcome: 'denied', reason: null, by: ROOT });
  t.equal(answers.length, 1, 'an answer counts once');
});

t.test('a denial says why, a request to cancel is answered as the server does', async (t) => {
  const { holder, asked, answers, counts } = holderOf([rule('r', 'write')]);
  holder.decide([REMOVE], SHOWN);
  asked[0]?.answered({ outcome: 'denied', reason: 'not now', by: ROOT });
  holder.decide([REMOVE], SHOWN);
  asked[1]?.answered({ outcome: 'denied', reason: null, by: ROOT });
  holder.decide([REMOVE], SHOWN);
  holder.cancel();
  holder.cancel();
  t.match(answers, [
    { sqlState: '42501', message: /rule "r", and was denied: not now$/ },
    { sqlState: '42501', message: /rule "r", and was denied$/ },
    { sqlState: '57014', message: 'canceling statement due to user request' },
  ]);
  t.strictSame(counts, { held: 3, approved: 0, denied: 3, withdrawn: 3 });
});

t.test('what nobody answers in time is denied', async (t) => {
  const { holder, answers, answered, counts } = holderOf([rule('r', 'write', 5)]);
  holder.decide([REMOVE], SHOWN);
  await answered;
  t.match(answers, [{ message: /and nobody has answered in 1 seconds$/ }]);
  t.match(counts, { denied: 1, withdrawn: 1 });
});

t.test('released, what waits is denied, and nothing is asked any more', async (t) => {
  const { holder, asked, answers, counts } = holderOf([rule('r', 'write')]);
  holder.decide([REMOVE], SHOWN);
  holder.release('the agent has left');
  t.match(answers, [{ message: /rule "r", and the agent has left$/ }]);
  t.match(holder.decide([REMOVE], SHOWN), { message: /and the agent has left$/ });
  t.equal(asked.length, 1);
  t.match(counts, { held: 2, denied: 2, withdrawn: 1 });
  holder.release('again');
  t.equal(answers.length, 1);
});

t.test('what there is no room for is refused with a code of its own, at once or by the daemon', async (t) => {
  const refused: string[] = [];
  const full: Approver = {
    ask: () => ({ why: 'too many wait', isFull: true }),
    refused: () => void refused.push('one'),
  };
  const here = holderOf([rule('r', 'write')], full);
  t.match(here.holder.decide([REMOVE], SHOWN), {
    sqlState: '53400',
    message: /rule "r", and too many wait$/,
  });
  t.match(here.ended, [{ outcome: 'refused', reason: 'too many wait' }]);
  t.equal(refused.length, 1, 'and told of, to be counted');
  const there = holderOf([rule('r', 'write')]);
  there.holder.decide([REMOVE], SHOWN);
  there.asked[0]?.answered({ outcome: 'refused', reason: 'too many wait', by: null });
  t.match(there.answers, [{ sqlState: '53400', message: /rule "r", and too many wait$/ }]);
  t.match(there.ended, [{ outcome: 'refused', by: null, reason: 'too many wait' }]);
  t.strictSame(there.refused, [], 'the daemon has counted that itself');
});

t.test('what cannot be shown is not asked about, and counted', async (t) => {
  const { holder, asked, refused } = holderOf([rule('r', 'write')]);
  t.match(holder.decide([REMOVE], null), { sqlState: '42501', message: /and its values cannot be shown$/ });
  t.strictSame(asked, []);
  t.equal(refused.length, 1);
  holder.release('the agent has left');
  holder.decide([REMOVE], SHOWN);
  t.equal(refused.length, 1, 'an agent that has left is refused nothing');
});

t.test('what became of it is put on record: what, how long, how it ended, by whom and why', async (t) => {
  const { holder, asked, ended, withdrawn } = holderOf([rule('r', 'write')]);
  const one = { ...REMOVE, relations: [{ schema: 'app', name: 'users' }] };
  const decide = (): unknown => holder.decide([one], SHOWN);
  const before = Date.now();
  decide();
  asked[0]?.answered({ outcome: 'approved', reason: 'ticket 4711', by: ROOT });
  decide();
  asked[1]?.answered({ outcome: 'denied', reason: null, by: ROOT });
  decide();
  asked[2]?.answered({ outcome: 'withdrawn', reason: 'Sluice is being stopped', by: null });
  decide();
  holder.cancel();
  decide();
  holder.release('the agent has left');
  decide();
  t.match(ended, [
    { what: 'DELETE app.users', rule: 'r', outcome: 'approved', by: ROOT, reason: 'ticket 4711' },
    { outcome: 'denied', by: ROOT, reason: null },
    { outcome: 'withdrawn', by: null, reason: 'Sluice is being stopped' },
    { outcome: 'cancelled', by: null },
    { outcome: 'withdrawn', by: null, reason: 'the agent has left' },
    { outcome: 'refused', by: null, reason: 'the agent has left' },
  ]);
  t.strictSame(withdrawn, ['approved', 'denied', 'withdrawn', 'cancelled', 'withdrawn']);
  const [first] = ended;
  t.ok(Date.parse(first?.time ?? '') >= before && (first?.waited_ms ?? -1) >= 0);
  const late = holderOf([rule('r', 'write', 5)]);
  late.holder.decide([REMOVE], SHOWN);
  await late.answered;
  t.match(late.ended, [{ outcome: 'timed_out', by: null, reason: null }]);
  t.ok((late.ended[0]?.waited_ms ?? 0) > 0);
});
