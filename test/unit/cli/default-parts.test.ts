import { join } from 'node:path';
import t from 'tap';
import { ANY_FLOW } from '#src/api/flow-filter.ts';
import { flowStorePath } from '#src/api/paths.ts';
import { defaultParts } from '#src/cli/default-parts.ts';
import { FlowStore } from '#src/store/flow-store.ts';
import { append } from '#test/unit/store/made.ts';
import { sampleRecord } from '../api/sample.ts';
import { temporaryDirectory } from '../api/temporary.ts';
import { setStage } from './script.ts';

const RETENTION = { maxRows: 100, maxBytes: 10_000_000, maxAgeMs: 1e12 };

t.test('no store is null, and pins that are not there too', async (t) => {
  const directory = temporaryDirectory(t);
  t.equal(await defaultParts.readStore(join(directory, 'none.db'), ANY_FLOW), null);
  t.equal(await defaultParts.describePins(directory), null);
});

t.test('without a daemon, flows come from the store', async (t) => {
  const stage = await setStage(t, null);
  const store = FlowStore.open(flowStorePath(join(stage.directory, 'state')), RETENTION);
  append(store, [sampleRecord(1), sampleRecord(2, { agent: 'other' }), sampleRecord(3)]);
  store.close();
  const done = await stage.sh('sluice flows --agent billing --dest db.example.org --output json');
  t.same(
    done.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [sampleRecord(1), sampleRecord(3)],
  );
  t.match(
    done.stderr,
    /^sluice: the daemon is not running; these are the flows it stored\n {2}hint: start it/,
  );
  t.equal(done.code, 0);
});
