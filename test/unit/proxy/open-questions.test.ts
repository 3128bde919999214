import t from 'tap';
import { OpenQuestions } from '#src/proxy/open-questions.ts';

t.test('an answer counts for its question, about the same, once', async (t) => {
  const open = new OpenQuestions<string>(4);
  const numbers: number[] = [];
  const ask = (about: string): Promise<string | null> => open.ask(about, (number) => numbers.push(number));
  const [one, two] = [ask('a'), ask('b')];
  const [first = -1, second = -1] = numbers;
  open.answered(first, 'b', 'of another');
  open.answered(99, 'a', 'of nobody');
  open.answered(second, 'b', null);
  open.answered(first, 'a', 'answer');
  open.answered(first, 'a', 'late');
  t.same([await one, await two], ['answer', null]);
});

t.test('an answer counts that was two seconds on its way', async (t) => {
  const open = new OpenQuestions<string>(1);
  const asked = open.ask('a', (number) => setTimeout(() => open.answered(number, 'a', 'late'), 2_000));
  t.equal(await asked, 'late');
});

t.test('what is beyond the bound is not asked, and what nobody answers ends', async (t) => {
  const open = new OpenQuestions<string>(1, 10);
  let asked = 0;
  const ask = (): Promise<string | null> => open.ask('a', () => (asked += 1));
  const [one, two] = [ask(), ask()];
  t.equal(await two, null);
  t.equal(asked, 1);
  t.equal(await one, null);
  void ask();
  t.equal(asked, 2, 'there is room again');
});
