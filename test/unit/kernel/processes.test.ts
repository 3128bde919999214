import t from 'tap';
import { layout } from '#src/kernel/layout.ts';
import { decodeProcesses, decodeSockets, encodeTag } from '#src/kernel/processes.ts';

t.test('processes', async (t) => {
  const { fields, size } = layout.sluice_process;
  const bytes = Buffer.alloc(2 * size);
  bytes.writeBigUInt64LE(5n, fields.task_start_ns);
  bytes.writeUInt32LE(7, fields.pid);
  bytes.writeUInt32LE(1, fields.parent);
  bytes.writeUInt32LE(9, fields.agent);
  bytes.writeUInt16LE(3, fields.why);
  bytes.writeUInt16LE(2, fields.flags);
  bytes.writeUInt32LE(8, size + fields.pid);
  const [agent, other] = decodeProcesses(bytes);
  t.match(agent, { pid: 7, parent: 1, startNs: 5n });
  t.same(agent?.tag, { agentId: 9, why: 'uid', sinceNs: 0n, inherited: false, wasRunning: true });
  t.match(other, { pid: 8, tag: null });
  t.same(decodeProcesses(bytes.subarray(0, size - 1)), []);
});

t.test('sockets', async (t) => {
  const { fields, size } = layout.sluice_open_socket;
  const of = (family: number, state: number): Buffer => {
    const bytes = Buffer.alloc(size);
    bytes.writeUInt16LE(family, fields.family);
    bytes[fields.state] = state;
    bytes.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7], fields.daddr);
    bytes.writeUInt16LE(443, fields.dport);
    return bytes;
  };
  const [connected, listening, closed, unix] = decodeSockets(
    Buffer.concat([of(2, 1), of(10, 10), of(2, 7), of(1, 1)]),
  );
  t.match(connected, { state: 'connected', local: '[::]:0', remote: '192.0.2.7:443', governed: false });
  t.match(listening, { state: 'listening', remote: null });
  t.match(closed, { state: 'unconnected', remote: null });
  t.match(unix, { state: 'connected', local: null, remote: null });
});

t.test('a tag by hand says so', async (t) => {
  const { fields } = layout.sluice_tag;
  const tag = encodeTag(1n, 2n, 3);
  t.equal(tag.readUInt32LE(fields.agent), 3);
  t.equal(tag.readUInt16LE(fields.why), 4);
});
