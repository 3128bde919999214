import t from 'tap';
import { endStale, STALE_CONNECTION_NS, STALE_DATAGRAM_NS } from '#src/daemon/stale.ts';
import type { KernelEvent } from '#src/kernel/events.ts';
import { facts, flowId } from '#test/unit/flowlog/made.ts';

t.test('what has waited too long has come to its end', async (t) => {
  const nowNs = 1_000_000_000_000n;
  const waiting = [facts(flowId(1)), facts(flowId(2))];
  const over = new Set([flowId(2)]);
  const told: KernelEvent[] = [];
  endStale(nowNs, {
    takeStale: ({ connectionsNs, datagramsNs }, isOver) => {
      t.equal(connectionsNs, nowNs - STALE_CONNECTION_NS);
      t.equal(datagramsNs, nowNs - STALE_DATAGRAM_NS);
      return waiting.filter((flow) => !isOver(flow));
    },
    isOver: ({ id }) => over.has(id),
    tell: (event) => told.push(event),
  });
  t.match(told, [
    { kind: 'undelivered', reason: 'not_delivered', id: flowId(1), timeNs: nowNs, inbound: null },
  ]);
  t.equal(told.length, 1, 'one that is on record is not told again');
});
