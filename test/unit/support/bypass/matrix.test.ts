import t from 'tap';
import { Answers } from '#test/support/bypass/matrix.ts';
import type { Cell, Tried } from '#test/support/bypass/types.ts';

const tried = (name: string, said: Tried['said'] = { said: 'sent', note: '' }): Tried => ({
  row: { name, title: name },
  who: 'root',
  family: '4',
  address: '10.200.0.1',
  canary: name,
  times: 1,
  stolen: false,
  said,
});
const cell = (row: string, verdict: Cell['verdict'], detail = ''): Cell => ({
  row,
  who: 'root',
  family: '4',
  verdict,
  detail,
});
/** A judge who sees `verdict` in all, but cannot judge what is called `odd`. */
const judge = (verdict: Cell['verdict']) => ({
  judge({ row }: Tried): Cell {
    if (row.name === 'odd') throw new Error('a packet of no kind\nwhose bytes are these');
    return cell(row.name, verdict);
  },
});

t.test('a row that cannot be judged costs no other its answer', async (t) => {
  const attempts = ['a', 'odd', 'b'].map((name) => tried(name));
  const answers = new Answers(attempts, async () => judge('redirected'));
  for (const one of [...attempts].reverse()) answers.add(one);
  await answers.look(true);
  t.strictSame(answers.cells, [
    cell('a', 'redirected'),
    cell('odd', 'failed', 'a packet of no kind whose bytes are these'),
    cell('b', 'redirected'),
  ]);
});

t.test('a look tells what is new, and what a late packet has changed', async (t) => {
  const seen: Cell['verdict'][] = ['dropped', 'dropped', 'open'];
  const answers = new Answers([tried('a'), tried('b')], async () => judge(seen.shift() ?? 'open'));
  t.strictSame(await answers.look(false), []);
  answers.add(tried('a'));
  t.strictSame(await answers.look(false), [cell('a', 'dropped')]);
  answers.add(tried('b'));
  t.strictSame(await answers.look(true), [cell('a', 'open'), cell('b', 'open')]);
});

t.test(
  'a capture that cannot be believed says nothing of what is new, and nothing else of the rest',
  async (t) => {
    let gap = false;
    const gather = async () => {
      if (gap) throw new Error('the capture has a gap');
      return judge('redirected');
    };
    const answers = new Answers([tried('a'), tried('b')], gather);
    answers.add(tried('a'));
    await answers.look(false);
    gap = true;
    answers.add(tried('b'));
    t.strictSame(await answers.look(false), [cell('b', 'failed', 'the capture has a gap')]);
    gap = false;
    t.strictSame(await answers.look(true), [cell('b', 'redirected')], 'until it can');
  },
);

t.test('looks come one after the other', async (t) => {
  let at = 0;
  let most = 0;
  const gather = async () => {
    at += 1;
    most = Math.max(most, at);
    await new Promise((resolve) => setImmediate(resolve));
    at -= 1;
    return judge('redirected');
  };
  const answers = new Answers([tried('a')], gather);
  answers.add(tried('a'));
  await Promise.all([answers.look(false), answers.look(false), answers.look(true)]);
  t.equal(most, 1);
  t.notOk(answers.isTimeToLook);
});
