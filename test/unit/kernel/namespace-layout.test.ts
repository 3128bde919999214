import t from 'tap';
import { layout } from '#src/kernel/layout.ts';
import { decodeNamespaceEvent, encodeNamespace } from '#src/kernel/namespace-layout.ts';

t.test('what is known of a namespace is written field by field', async (t) => {
  const { fields, size } = layout.sluice_netns;
  for (const [state, number] of [
    ['open', 2],
    ['refused', 3],
  ] as const) {
    const bytes = encodeNamespace(state, 2n ** 64n - 1n);
    t.equal(bytes.length, size);
    t.equal(bytes.readUInt32LE(fields.state), number, 'as bpf/api/sluice.h numbers it');
    t.equal(bytes.readBigUInt64LE(fields.quiet_until_ns), 2n ** 64n - 1n);
  }
});

t.test('a question is read field by field', async (t) => {
  const { fields, size } = layout.sluice_netns_event;
  const bytes = Buffer.alloc(2 * size);
  bytes.writeBigUInt64LE(4_097n, size + fields.netns_cookie);
  bytes.writeUInt32LE(4_194_303, size + fields.tid);
  t.same(decodeNamespaceEvent(bytes, size), { cookie: 4_097n, tid: 4_194_303, question: null });
  bytes.writeUInt16LE(3, size + fields.length);
  bytes.writeUInt16LE(54_321, size + fields.port);
  bytes.fill(0xaa, size + fields.sender, size + fields.sender + 16);
  bytes.fill(0xbb, size + fields.flow, size + fields.question);
  bytes.write('dns', size + fields.question);
  t.same(decodeNamespaceEvent(bytes, size).question, {
    sender: Buffer.alloc(16, 0xaa),
    port: 54_321,
    flow: Buffer.alloc(layout.sluice_flow.size, 0xbb),
    bytes: Buffer.from('dns'),
  });
});
