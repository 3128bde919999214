import t from 'tap';
import type { ReportedFlow } from '#src/proxy/ipc.ts';
import { BATCH_MAX, ReportBatch } from '#src/proxy/report-batch.ts';

// The batch never looks into a flow.
const flow = { kernel: null } as ReportedFlow;

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
