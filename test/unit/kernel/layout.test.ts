import { isIPv6 } from 'node:net';
import t from 'tap';
import {
  addressText,
  decodeConfig,
  decodeEvent,
  decodeExePath,
  decodeFlow,
  encodeConfig,
  encodePathKey,
  layout,
} from '#src/kernel/layout.ts';

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.padEnd(32, '0'), 'hex');
}

t.test('addresses are written as RFC 5952 says, v4-mapped ones as IPv4', async (t) => {
  const cases = {
    '00000000000000000000ffffc0000201': '192.0.2.1',
    '00000000000000000000000000000001': '::1',
    '00000000000000000000000000000000': '::',
    '20010db8000000000001000000000001': '2001:db8::1:0:0:1',
    '20010db8000100020003000400050006': '2001:db8:1:2:3:4:5:6',
    '20010db8000000010001000100010001': '2001:db8:0:1:1:1:1:1',
    fe80: 'fe80::',
  };
  for (const [hex, text] of Object.entries(cases)) {
    t.equal(addressText(bytesOf(hex), 0), text);
    if (text.includes(':')) t.ok(isIPv6(text), text);
  }
});

t.test('a flow is read field by field', async (t) => {
  const { fields, size } = layout.sluice_flow;
  const bytes = Buffer.alloc(size);
  bytes.writeBigUInt64LE(0x6b02_0000_0000_0007n, fields.id);
  bytes.writeBigUInt64LE(11n, fields.start_ns);
  bytes.writeBigUInt64LE(12n, fields.netns_cookie);
  bytes.writeBigUInt64LE(13n, fields.cgroup_id);
  bytes.writeBigUInt64LE(14n, fields.task_start_ns);
  bytes.writeBigUInt64LE(15n, fields.exe_ino);
  for (const [index, name] of (['exe_dev', 'pid', 'uid', 'gid', 'agent'] as const).entries())
    bytes.writeUInt32LE(20 + index, fields[name]);
  bytesOf('00000000000000000000ffff0a000001').copy(bytes, fields.daddr);
  bytes.writeUInt16LE(5432, fields.dport);
  bytes[fields.family] = 6;
  t.same(decodeFlow(bytes), {
    id: '6b02000000000007',
    startNs: 11n,
    netnsCookie: 12n,
    cgroupId: 13n,
    taskStartNs: 14n,
    exeInode: 15n,
    exeDev: 20,
    pid: 21,
    uid: 22,
    gid: 23,
    agentId: 24,
    dstIp: '10.0.0.1',
    dstPort: 5432,
    family: 6,
  });
});

t.test('an event of a kind this version does not know is left out', async (t) => {
  const bytes = Buffer.alloc(layout.sluice_event.size);
  bytes.writeUInt16LE(2, 0);
  bytes.writeUInt16LE(1, 2);
  bytes.writeBigUInt64LE(77n, layout.sluice_event.fields.time_ns);
  bytes.writeBigUInt64LE(0x1234n, layout.sluice_event.fields.flow);
  const event = decodeEvent(bytes);
  t.match(event, { kind: 'denied', reason: 'no_listener', id: '0000000000001234', timeNs: 77n });
  t.equal(event?.facts.id, event?.id);
  bytes.writeUInt16LE(99, 0);
  t.equal(decodeEvent(bytes), null);
});

t.test('an event says what was refused, and whom an agent served', async (t) => {
  const { fields, size } = layout.sluice_event;
  const bytes = Buffer.alloc(size);
  bytes.writeUInt16LE(2, fields.kind);
  bytes.writeUInt16LE(9, fields.reason);
  bytes.writeUInt16LE(81, fields.technique);
  bytes.writeUInt16LE(8080, fields.local_port);
  bytes.writeBigUInt64LE(3n, fields.suppressed);
  bytes[fields.flow + layout.sluice_flow.fields.protocol] = 6;
  const denied = decodeEvent(bytes);
  t.same(denied?.refusal, { technique: 'inbound_tcp', suppressed: 3, protocol: 6, detail: 0 });
  t.same(denied?.inbound, { localPort: 8080, rule: 0, received: 0, sent: 0 });
  bytes.writeUInt16LE(5, fields.kind);
  bytes.writeUInt16LE(0, fields.reason);
  bytes.writeBigUInt64LE(10n, fields.received);
  bytes.writeBigUInt64LE(20n, fields.sent);
  bytes.writeUInt32LE(77, fields.flow + layout.sluice_flow.fields.detail);
  t.same(decodeEvent(bytes)?.inbound, { localPort: 8080, rule: 77, received: 10, sent: 20 });
  t.equal(decodeEvent(bytes)?.refusal, null);
});

t.test('configuration survives the way there and back', async (t) => {
  const config = {
    abi: 1,
    generation: 7,
    hasUids: true,
    hasExes: false,
    workerUid: 998,
    mark: 0xfedcba9876543210n,
    selfCgroup: 120n,
    rootCgroup: 1n,
    proxyPorts: [65_535, 1, 40_000],
    unknownAgent: 0xfedcba98,
    dnsPort: 65_534,
    daemonPid: 4_194_303,
    homeNetns: 4_097n,
    holdUntilNs: 99n,
  };
  t.same(decodeConfig(encodeConfig(config)), config);
});

t.test('a path key is padded with zeros, as the kernel compares all of it', async (t) => {
  const key = encodePathKey(1, 2, 'x.slice');
  t.equal(key.length, 264);
  t.ok(key.subarray(15).every((byte) => byte === 0));
});

t.test('a remembered path is text from its offset to its NUL, or nothing', async (t) => {
  const bytes = Buffer.alloc(layout.sluice_exe_path.size);
  bytes.writeUInt32LE(500, 0);
  bytes.write('/usr/bin/x\0', 504);
  t.equal(decodeExePath(bytes), '/usr/bin/x');
  bytes.writeUInt32LE(0xffff_ffff, 0);
  t.equal(decodeExePath(bytes), null);
  bytes.writeUInt32LE(501, 0);
  t.equal(decodeExePath(bytes), null, 'not from the root');
});
