/** The judge has to be able to say both no and yes: captures are made by hand here, byte for byte. */
import t from 'tap';
import {
  conversations,
  findMarkers,
  isTlsThroughout,
  parsePcap,
  tlsRecords,
  wireOf,
} from '#test/support/pcap.ts';

interface Segment {
  readonly from?: 'client' | 'server';
  readonly seq: number;
  readonly flags?: number;
  readonly data?: string | Buffer;
  readonly family?: 4 | 6;
  readonly protocol?: number;
}

const SYN = 2;
const ACK = 16;
const RST = 4;

function frame({ from = 'client', seq, flags = ACK, data = '', family = 4, protocol = 6 }: Segment): Buffer {
  const body = Buffer.from(data);
  const header = Buffer.alloc(protocol === 6 ? 20 : 8);
  header.writeUInt16BE(from === 'client' ? 40_000 : 443, 0);
  header.writeUInt16BE(from === 'client' ? 443 : 40_000, 2);
  if (protocol === 6) {
    header.writeUInt32BE(seq >>> 0, 4);
    header.writeUInt8(5 << 4, 12);
    header.writeUInt8(flags, 13);
  }
  const payload = Buffer.concat([header, body]);
  const ethernet = Buffer.alloc(14);
  ethernet.writeUInt16BE(family === 4 ? 0x0800 : 0x86dd, 12);
  return Buffer.concat([
    ethernet,
    family === 4 ? ipv4(from, protocol, payload) : ipv6(from, protocol, payload),
  ]);
}

function ipv4(from: string, protocol: number, payload: Buffer): Buffer {
  const ip = Buffer.alloc(20);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(20 + payload.length, 2);
  ip.writeUInt8(protocol, 9);
  const [client, server] = [Buffer.from([10, 0, 0, 1]), Buffer.from([10, 0, 0, 2])];
  (from === 'client' ? client : server).copy(ip, 12);
  (from === 'client' ? server : client).copy(ip, 16);
  // Ethernet pads short frames: what lies past the IP length is not payload.
  return Buffer.concat([ip, payload, Buffer.from('padding')]);
}

function ipv6(from: string, protocol: number, payload: Buffer): Buffer {
  const ip = Buffer.alloc(40);
  ip.writeUInt8(0x60, 0);
  ip.writeUInt16BE(payload.length, 4);
  ip.writeUInt8(protocol, 6);
  const address = (last: number): Buffer => Buffer.from(`fd000198${'0'.repeat(22)}0${last}`, 'hex');
  address(from === 'client' ? 1 : 2).copy(ip, 8);
  address(from === 'client' ? 2 : 1).copy(ip, 24);
  return Buffer.concat([ip, payload]);
}

function pcap(segments: readonly Segment[], bigEndian = false): Buffer {
  const u32 = (value: number): Buffer => {
    const buffer = Buffer.alloc(4);
    if (bigEndian) buffer.writeUInt32BE(value);
    else buffer.writeUInt32LE(value);
    return buffer;
  };
  const parts = [u32(0xa1b2c3d4), Buffer.alloc(12), u32(262_144), u32(1)];
  for (const segment of segments) {
    const bytes = frame(segment);
    parts.push(u32(0), u32(0), u32(bytes.length), u32(bytes.length), bytes);
  }
  return Buffer.concat(parts);
}

const record = (type: number, body: string): Buffer =>
  Buffer.concat([Buffer.from([type, 3, 3, 0, body.length]), Buffer.from(body)]);
const hello = record(22, 'hello');
const application = record(23, 'sealed');

t.test('streams are put together whatever the order, with repeats and wrap-around', async (t) => {
  const isn = 0xffff_fffe;
  const file = pcap([
    { seq: isn, flags: SYN },
    { from: 'server', seq: 100, flags: SYN | ACK },
    { seq: isn + 4, data: 'defg' },
    { seq: isn + 1, data: 'abc' },
    { seq: isn + 3, data: 'cde' },
    { from: 'server', seq: 101, data: 'answer' },
    { from: 'server', seq: 101, data: 'answer' },
    { from: 'server', seq: 100, data: '?' },
  ]);
  const [only, ...others] = conversations(parsePcap(file));
  t.equal(others.length, 0);
  t.match(only, { client: '10.0.0.1', clientPort: 40_000, server: '10.0.0.2', serverPort: 443, whole: true });
  t.equal(only?.toServer.toString(), 'abcdefg');
  t.equal(only?.toClient.toString(), 'answer');
});

t.test('a gap is told, and what is behind it is not taken for the stream', async (t) => {
  const [only] = conversations(
    parsePcap(
      pcap([
        { seq: 1, flags: SYN },
        { seq: 2, data: 'a' },
        { seq: 9, data: 'b' },
      ]),
    ),
  );
  t.equal(only?.whole, false);
  t.equal(only?.toServer.toString(), 'a');
});

t.test('data in a SYN (TCP Fast Open) is part of the stream; resets are told', async (t) => {
  const [only] = conversations(
    parsePcap(
      pcap([
        { seq: 1, flags: SYN, data: 'early' },
        { from: 'server', seq: 7, flags: RST },
      ]),
    ),
  );
  t.equal(only?.toServer.toString(), 'early');
  t.equal(only?.resetBy, 'server');
});

t.test('the same ports again are another conversation', async (t) => {
  const found = conversations(
    parsePcap(
      pcap([
        { seq: 1, flags: SYN },
        { seq: 2, data: 'first' },
        { seq: 50, flags: SYN },
        { seq: 51, data: 'second' },
      ]),
    ),
  );
  t.strictSame(
    found.map((c) => c.toServer.toString()),
    ['first', 'second'],
  );
});

t.test('IPv6, UDP and the other byte order', async (t) => {
  const packets = parsePcap(pcap([{ seq: 1, family: 6, protocol: 17, data: 'datagram' }], true));
  t.match(packets, [{ transport: 'udp', src: 'fd00:198::1', dst: 'fd00:198::2', srcPort: 40_000 }]);
  t.equal(packets[0]?.payload.toString(), 'datagram');
});

t.test('a record still being written is left out; a packet cut short is refused', async (t) => {
  const file = pcap([
    { seq: 1, data: 'one' },
    { seq: 4, data: 'two' },
  ]);
  t.equal(parsePcap(file.subarray(0, -1)).length, 1);
  t.equal(parsePcap(file.subarray(0, 20)).length, 0);
  file.writeUInt32LE(9000, 24 + 12);
  t.throws(() => parsePcap(file), /cut a packet short/);
  t.throws(() => parsePcap(Buffer.alloc(64, 'x')), /not a pcap/);
});

t.test('wireOf tells TLS from anything else', async (t) => {
  const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
  t.equal(wireOf(Buffer.alloc(0)), 'empty');
  t.equal(wireOf(Buffer.concat([hello, application])), 'tls');
  t.equal(wireOf(Buffer.concat([hello, application.subarray(0, 7)])), 'tls', 'cut by a reset');
  t.equal(
    wireOf(Buffer.concat([hello, application, Buffer.from('GET /')])),
    'plain',
    'plain text at the end',
  );
  t.equal(wireOf(Buffer.from('GET / HTTP/1.1\r\n')), 'plain');
  t.equal(wireOf(application), 'plain', 'data before any handshake');
  t.equal(wireOf(sslRequest), 'postgres-probe');
  t.equal(wireOf(Buffer.concat([sslRequest, hello])), 'postgres-tls');
  t.equal(wireOf(Buffer.concat([sslRequest, Buffer.from('user')])), 'plain');
  t.equal(isTlsThroughout(Buffer.from([22, 3, 1, 255, 255])), false, 'no record is that long');
  t.strictSame(tlsRecords(Buffer.concat([hello, application])), [
    { type: 22, length: 5 },
    { type: 23, length: 6 },
  ]);
});

t.test('a marker is found in a packet and across two', async (t) => {
  const packets = parsePcap(
    pcap([
      { seq: 1, flags: SYN },
      { seq: 2, data: 'a SEC' },
      { seq: 7, data: 'RET b' },
    ]),
  );
  t.equal(findMarkers(packets, ['SECRET']).length, 1);
  t.match(findMarkers(packets, ['RET b'])[0], /"RET b" in tcp 10\.0\.0\.1:40000 > 10\.0\.0\.2:443/);
  t.strictSame(findMarkers(packets, ['nothing']), []);
  const datagrams = parsePcap(pcap([{ seq: 0, protocol: 17, data: 'SECRET' }]));
  t.equal(findMarkers(datagrams, ['SECRET']).length, 1);
});
