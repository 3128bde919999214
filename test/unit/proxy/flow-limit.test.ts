import t from 'tap';
import { maxFlows, readLimits } from '#src/proxy/flow-limit.ts';

const limits = (soft: string): string =>
  `Limit                     Soft Limit           Hard Limit           Units\nMax open files            ${soft}                 20000                files\n`;

t.test('a worker takes no more flows than its descriptors are enough for', async (t) => {
  t.equal(maxFlows(10_000, limits('1128')), 500);
  t.equal(maxFlows(100, limits('1128')), 100);
  t.equal(maxFlows(100, limits('unlimited')), 100);
  t.equal(maxFlows(100, limits('10')), 1);
  t.match(readLimits(), /^Max open files\s+\d/m, 'the kernel writes it so');
});
