import t from 'tap';
import { completeRecord } from '#src/flowlog/complete.ts';
import { lineOf, RecordLines } from '#src/flowlog/record-line.ts';
import { ATTESTED, facts, flowId, report } from '#test/unit/flowlog/made.ts';

t.test('the store is given the record as the log has it, without the name of the event', async (t) => {
  const lines = new RecordLines();
  for (const detail of [null, '', 'a "quoted"\nline \u2028 of text \ud800']) {
    const record = completeRecord(
      report(flowId(1), { detail }),
      {
        facts: facts(flowId(1)),
        time: '2026-01-01T00:00:00.000Z',
        agent: null,
        tier: 'base',
        direction: 'outbound',
        refusal: null,
      },
      ATTESTED,
    );
    const json = lines.jsonOf(record);
    const line = lineOf(json);
    t.equal(line.indexOf('\n'), line.length - 1);
    t.strictSame(JSON.parse(line), { event: 'flow', ...record });
    t.strictSame(JSON.parse(json), record);
  }
});
