import t from 'tap';
import { sweepStalled, unwatchStalled, watchStalled } from '#src/proxy/stall-watch.ts';
import { endOf, readAll } from './harness.ts';
import { socketPair as pair } from './socket-pair.ts';

t.test('a reset is noticed though nobody reads, at the second sweep', async (t) => {
  const [outer, inner] = await pair(t.teardown);
  outer.write('unread');
  watchStalled(inner);
  sweepStalled();
  outer.resetAndDestroy();
  await endOf(outer);
  t.equal(inner.destroyed, false, 'nothing tells of it');
  sweepStalled();
  await new Promise((resolve) => inner.once('close', resolve));
  t.match(inner.errored, { code: 'ECONNRESET' });
  unwatchStalled(inner);
});

t.test('a socket that lives is asked without harm', async (t) => {
  const [outer, inner] = await pair(t.teardown);
  watchStalled(inner);
  for (let sweeps = 0; sweeps < 3; sweeps += 1) sweepStalled();
  inner.write('x');
  inner.end();
  sweepStalled();
  t.equal((await readAll(outer)).toString(), 'x', 'no byte was added');
  unwatchStalled(inner);
});
