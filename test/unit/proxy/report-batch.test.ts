import t from 'tap';
import type { ReportedFlow } from '#src/proxy/ipc.ts';
import { BATCH_MAX, ReportBatch } from '#src/proxy/report-batch.ts';

import { facts, flowId, reported } from '#test/unit/flowlog/made.ts';

const flow = reported(facts(flowId(1)));

t.test('a full batch leaves at once', async (t) => {
  const sent: number[] = [];
  const batch = new ReportBatch((flows) => sent.push(flows.length));
  for (let count = 0; count < BATCH_MAX + 1; count += 1) batch.add(flow);
  t.same(sent, [BATCH_MAX]);
  batch.flush();
  batch.flush();
  t.same(sent, [BATCH_MAX, 1]);
});

t.test('one that does not fill leaves soon', async (t) => {
  const flows = await new Promise<readonly ReportedFlow[]>((resolve) => {
    const batch = new ReportBatch(resolve);
    batch.add(flow);
    batch.add(flow);
  });
  t.equal(flows.length, 2);
});

t.test('reports with much in them go in smaller batches', async (t) => {
  const sent: number[] = [];
  const batch = new ReportBatch((flows) => sent.push(flows.length));
  const hold = {
    time: '',
    what: '',
    rule: '',
    waited_ms: 0,
    outcome: 'denied' as const,
    by: null,
    reason: null,
  };
  const operations = { total: 0, denied: 0, held: 0, approved: 0, observed: 0, holds: Array(15).fill(hold) };
  const long = { ...flow, report: { ...flow.report, operations } };
  for (let n = 0; n < 16; n += 1) batch.add(long);
  t.strictSame(sent, [16]);
});
