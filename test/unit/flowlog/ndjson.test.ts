import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { completeRecord } from '#src/flowlog/complete.ts';
import { NdjsonLog } from '#src/flowlog/ndjson.ts';
import { lineOf, RecordLines } from '#src/flowlog/record-line.ts';
import { ATTESTED, facts, flowId, report } from '#test/unit/flowlog/made.ts';

t.test('one line for each record, with its fields under their names and nothing else', async (t) => {
  const path = join(t.testdir(), 'log');
  const fd = openSync(path, 'w');
  const log = new NdjsonLog(fd);
  const records = [1, 2].map((number) =>
    completeRecord(
      report(flowId(number), { detail: 'a "quoted"\nline \u2028 of text' }),
      {
        facts: facts(flowId(number)),
        time: '2026-01-01T00:00:00.000Z',
        agent: 'billing',
        tier: 'base',
        direction: 'outbound',
        refusal: null,
      },
      ATTESTED,
    ),
  );
  const lines = new RecordLines();
  for (const record of records) log.write(lineOf(lines.jsonOf(record)));
  log.close();
  const written = readFileSync(path, 'utf8').trimEnd().split('\n');
  t.strictSame(
    written.map((line) => JSON.parse(line)),
    records.map((record) => ({ event: 'flow', ...record })),
  );
  t.ok(written[0]?.startsWith('{"event":"flow","schema":1,"id":"0000000000000001","time":'));
  t.strictSame(log.health(), { bufferedBytes: 0, droppedLines: 0, error: null });
  closeSync(fd);
});
