import t from 'tap';
import { isReportedFlow } from '#src/flowlog/check-report.ts';
import { presentReport } from '#src/flowlog/former-report.ts';
import { facts, flowId, reported } from './made.ts';

const now = reported(facts(flowId(1)));

t.test('what an earlier version did not count yet is 0, and the rest as it was said', async (t) => {
  const operations = { total: 3, denied: 1, observed: 0 };
  const former = { ...now, report: { ...now.report, operations } };
  t.notOk(isReportedFlow(former));
  const present = presentReport(former, null);
  t.ok(isReportedFlow(present));
  t.match(present, {
    report: { operations: { total: 3, denied: 1, held: 0, approved: 0, observed: 0, holds: [] } },
  });
  const later = { ...now, report: { ...now.report, operations: { ...operations, held: 2, approved: 1 } } };
  t.match(presentReport(later, null), { report: { operations: { held: 2, approved: 1 } } });
  const masked = presentReport(
    { ...now, report: { ...now.report, masks: { masked: 4, observed: 0 } } },
    null,
  );
  t.ok(isReportedFlow(masked));
  t.match(masked, { report: { masks: { masked: 4, observed: 0, denied: 0 } } });
});

t.test(
  'words of the kernel are read by their layout, and whatever else there is stays what it was',
  async (t) => {
    t.match(
      presentReport({ kernel: 'ab', report: null }, (hex) => `${hex}00`),
      { kernel: 'ab00', report: null },
    );
    t.strictSame(presentReport(now, null), now);
    for (const claim of [null, 1, 'x']) t.equal(presentReport(claim, null), claim);
  },
);
