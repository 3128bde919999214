import t from 'tap';
import { RateLimit } from '#src/proxy/dns/rate-limit.ts';

t.test('two seconds at once, then as many as come in', async (t) => {
  let nowMs = 0;
  const limit = new RateLimit({ now: () => nowMs, monotonic: () => nowMs }, 10);
  const take = (count: number, agent = 1): number =>
    Array.from({ length: count }, () => limit.take(agent)).filter((verdict) => verdict === 'granted').length;
  t.equal(take(100), 20);
  t.equal(take(100, 2), 20, 'another agent has its own');
  nowMs += 500;
  t.equal(take(100), 5);
  nowMs += 60_000;
  t.equal(take(100), 20, 'no more is saved up');
  limit.perSecond = 1;
  nowMs += 60_000;
  t.equal(take(100), 2);
});

t.test('of a flood one a second is told', async (t) => {
  let nowMs = 0;
  const limit = new RateLimit({ now: () => nowMs, monotonic: () => nowMs }, 1);
  const verdicts = (): string[] => Array.from({ length: 5 }, () => limit.take(1));
  t.same(verdicts(), ['granted', 'granted', 'told', 'limited', 'limited']);
  nowMs += 500;
  t.same(verdicts().slice(0, 2), ['limited', 'limited']);
  nowMs += 500;
  t.same(verdicts().slice(0, 3), ['granted', 'told', 'limited']);
});
