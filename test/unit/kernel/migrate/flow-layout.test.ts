import t from 'tap';
import type { FlowFacts } from '#src/kernel/facts.ts';
import { decodeFlow, layout } from '#src/kernel/layout.ts';
import { flowReader, presentFlowLayout } from '#src/kernel/migrate/flow-layout.ts';
import { flowBytes } from '#test/support/flow-bytes.ts';

const facts: FlowFacts = {
  id: '00000000000000ab',
  startNs: 1n,
  netnsCookie: 2n,
  cgroupId: 3n,
  taskStartNs: 4n,
  exeInode: 5n,
  exeDev: 6,
  pid: 4711,
  uid: 7,
  gid: 8,
  agentId: 9,
  dstIp: '192.0.2.1',
  dstPort: 443,
  family: 4,
};

t.test('a flow of the same layout is what it was', async (t) => {
  const text = flowBytes(facts).toString('hex');
  t.equal(flowReader(presentFlowLayout)(text), text);
});

t.test('a flow of another layout is read by the names of its fields', async (t) => {
  // Eight bytes more in front, and everything behind them.
  const fields = Object.fromEntries(
    Object.entries(layout.sluice_flow.fields).map(([name, offset]) => [name, offset + 8]),
  );
  const size = layout.sluice_flow.size + 8;
  const present = flowBytes(facts);
  const former = Buffer.concat([Buffer.alloc(8, 0xaa), present]);
  const read = flowReader({ size, fields: { added: 0, ...fields } });
  t.equal(read(former.toString('hex')), present.toString('hex'));
  t.equal(decodeFlow(Buffer.from(read(former.toString('hex')), 'hex')).pid, 4711);
});

t.test('what is no flow is left as it is, to be refused', async (t) => {
  const read = flowReader({ size: 200, fields: { id: 0, pid: 192 } });
  for (const text of ['', 'ff', present(), 'x'.repeat(400)]) t.equal(read(text), text);
  function present(): string {
    return flowBytes(facts).toString('hex');
  }
});
