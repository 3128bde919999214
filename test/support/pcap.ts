/**
 * Reads a packet capture (libpcap file, Ethernet) into packets and TCP conversations. It is the judge of every
 * claim that nothing left in plain text, so it is written apart from Sluice, shares no code with it, and refuses
 * to judge what it did not see whole: a packet that was cut short is an error, a gap in a stream is told.
 *
 * File format: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html
 */

export interface Packet {
  readonly transport: 'tcp' | 'udp' | 'icmp' | 'other';
  readonly src: string;
  readonly srcPort: number;
  readonly dst: string;
  readonly dstPort: number;
  /** TCP only; 0 elsewhere. */
  readonly seq: number;
  readonly syn: boolean;
  readonly ack: boolean;
  readonly rst: boolean;
  /** What the transport carried; for `icmp` and `other`, everything after the IP header. */
  readonly payload: Buffer;
}

export interface Conversation {
  readonly client: string;
  readonly clientPort: number;
  readonly server: string;
  readonly serverPort: number;
  /** Up to the first piece that is missing. */
  readonly toServer: Buffer;
  readonly toClient: Buffer;
  /** False when a piece of either stream is missing from the capture. */
  readonly whole: boolean;
  /** Who sent a RST, if anybody did. */
  readonly resetBy: 'client' | 'server' | null;
}

const LINKTYPE_ETHERNET = 1;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const TCP = 6;
const UDP = 17;

/** Every IP packet of the capture. A record still being written at the end of the file is left out. */
export function parsePcap(file: Buffer): Packet[] {
  if (file.length < 24) return [];
  const magic = file.readUInt32LE(0);
  // The second pair has nanosecond stamps, which makes no difference here.
  const little = magic === 0xa1b2c3d4 || magic === 0xa1b23c4d;
  if (!little && magic !== 0xd4c3b2a1 && magic !== 0x4d3cb2a1) throw new Error('not a pcap file');
  const u32 = (at: number): number => (little ? file.readUInt32LE(at) : file.readUInt32BE(at));
  if ((u32(20) & 0x0fffffff) !== LINKTYPE_ETHERNET) throw new Error(`link type ${u32(20)} is not Ethernet`);
  const packets: Packet[] = [];
  for (let at = 24; at + 16 <= file.length; ) {
    const captured = u32(at + 8);
    if (captured < u32(at + 12)) throw new Error('the capture cut a packet short: it cannot be judged');
    if (at + 16 + captured > file.length) break;
    const packet = parseFrame(file.subarray(at + 16, at + 16 + captured));
    if (packet !== null) packets.push(packet);
    at += 16 + captured;
  }
  return packets;
}

function parseFrame(frame: Buffer): Packet | null {
  if (frame.length < 14) return null;
  const type = frame.readUInt16BE(12);
  const ip = frame.subarray(14);
  if (type === ETHERTYPE_IPV4 && ip.length >= 20) return parseIpv4(ip);
  if (type === ETHERTYPE_IPV6 && ip.length >= 40) return parseIpv6(ip);
  return null; // ARP and the like
}

function parseIpv4(ip: Buffer): Packet {
  const headerLength = (ip.readUInt8(0) & 0x0f) * 4;
  // Segments larger than 64 KiB (offloaded) carry the length 0.
  const total = ip.readUInt16BE(2) || ip.length;
  const address = (at: number): string => [...ip.subarray(at, at + 4)].join('.');
  const later = (ip.readUInt16BE(6) & 0x1fff) !== 0;
  return parseTransport(
    address(12),
    address(16),
    later ? -1 : ip.readUInt8(9),
    ip.subarray(headerLength, total),
  );
}

function parseIpv6(ip: Buffer): Packet {
  const length = ip.readUInt16BE(4) || ip.length - 40;
  return parseTransport(
    ipv6Text(ip.subarray(8, 24)),
    ipv6Text(ip.subarray(24, 40)),
    ip.readUInt8(6),
    ip.subarray(40, 40 + length),
  );
}

/** RFC 5952 text, so that addresses compare equal to those in configurations. */
function ipv6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16)).join(':');
  const zeros = groups.match(/(?:^|:)0(?::0)+(?=:|$)/g) ?? [];
  const longest = zeros.reduce((best, run) => (run.length > best.length ? run : best), '');
  if (longest === '') return groups;
  return groups
    .replace(longest, ':')
    .replace(/^:(?!:)/, '::')
    .replace(/^([^:].*):$/, '$1::')
    .replace(/:{3,}/, '::');
}

function parseTransport(src: string, dst: string, protocol: number, body: Buffer): Packet {
  const none = { srcPort: 0, dstPort: 0, seq: 0, syn: false, ack: false, rst: false };
  if (protocol === TCP && body.length >= 20) {
    const flags = body.readUInt8(13);
    return {
      transport: 'tcp',
      src,
      dst,
      srcPort: body.readUInt16BE(0),
      dstPort: body.readUInt16BE(2),
      seq: body.readUInt32BE(4),
      syn: (flags & 0x02) !== 0,
      ack: (flags & 0x10) !== 0,
      rst: (flags & 0x04) !== 0,
      payload: body.subarray((body.readUInt8(12) >> 4) * 4),
    };
  }
  if (protocol === UDP && body.length >= 8) {
    const ports = { srcPort: body.readUInt16BE(0), dstPort: body.readUInt16BE(2) };
    return { ...none, ...ports, transport: 'udp', src, dst, payload: body.subarray(8) };
  }
  const icmp = protocol === 1 || protocol === 58;
  return { ...none, transport: icmp ? 'icmp' : 'other', src, dst, payload: body };
}

/** One direction of a conversation, put together by sequence number. */
class Stream {
  #base: number | null = null;
  readonly #segments: { readonly offset: number; readonly data: Buffer }[] = [];

  /** `seq` is that of the first byte of `data`. */
  push(seq: number, data: Buffer): void {
    this.#base ??= seq;
    if (data.length > 0) this.#segments.push({ offset: (seq - this.#base) >>> 0, data });
  }

  assemble(): { readonly bytes: Buffer; readonly whole: boolean } {
    const sorted = [...this.#segments].sort((a, b) => a.offset - b.offset);
    const parts: Buffer[] = [];
    let end = 0;
    let whole = true;
    for (const { offset, data } of sorted) {
      // A keep-alive probe repeats the byte before the stream: it wraps to just below 2^32.
      if (offset > 0xffff_0000) continue;
      if (offset > end) {
        whole = false;
        break;
      }
      const fresh = data.subarray(Math.max(0, end - offset));
      parts.push(fresh);
      end = Math.max(end, offset + data.length);
    }
    return { bytes: Buffer.concat(parts), whole };
  }
}

interface Open {
  readonly client: string;
  readonly clientPort: number;
  readonly server: string;
  readonly serverPort: number;
  readonly isn: number;
  readonly toServer: Stream;
  readonly toClient: Stream;
  resetBy: 'client' | 'server' | null;
}

/** The TCP conversations of a capture, in the order they began. The client is who sent the SYN. */
export function conversations(packets: readonly Packet[]): Conversation[] {
  const open = new Map<string, Open>();
  const all: Open[] = [];
  for (const packet of packets) {
    if (packet.transport !== 'tcp') continue;
    const forward = `${packet.src} ${packet.srcPort} ${packet.dst} ${packet.dstPort}`;
    const backward = `${packet.dst} ${packet.dstPort} ${packet.src} ${packet.srcPort}`;
    let conversation = open.get(forward) ?? open.get(backward);
    const opens = packet.syn && !packet.ack;
    // The same ports again with another initial number: a new connection, not a retransmission.
    if (conversation === undefined || (opens && conversation.isn !== packet.seq)) {
      conversation = begin(packet);
      open.delete(backward);
      open.set(forward, conversation);
      all.push(conversation);
    }
    const fromClient = packet.src === conversation.client && packet.srcPort === conversation.clientPort;
    const stream = fromClient ? conversation.toServer : conversation.toClient;
    // A SYN takes one number; with TCP Fast Open it carries data too.
    stream.push(packet.syn ? (packet.seq + 1) >>> 0 : packet.seq, packet.payload);
    if (packet.rst) conversation.resetBy ??= fromClient ? 'client' : 'server';
  }
  return all.map(close);
}

function begin(packet: Packet): Open {
  return {
    client: packet.src,
    clientPort: packet.srcPort,
    server: packet.dst,
    serverPort: packet.dstPort,
    isn: packet.seq,
    toServer: new Stream(),
    toClient: new Stream(),
    resetBy: null,
  };
}

function close(open: Open): Conversation {
  const toServer = open.toServer.assemble();
  const toClient = open.toClient.assemble();
  const { client, clientPort, server, serverPort, resetBy } = open;
  return {
    client,
    clientPort,
    server,
    serverPort,
    resetBy,
    toServer: toServer.bytes,
    toClient: toClient.bytes,
    whole: toServer.whole && toClient.whole,
  };
}

/**
 * What the client of a conversation put on the wire:
 * `empty` nothing; `tls` TLS records from the first byte to the last; `postgres-tls` a PostgreSQL SSLRequest and
 * then TLS records; `postgres-probe` an SSLRequest alone (the server refused); `plain` anything else.
 */
export type Wire = 'empty' | 'tls' | 'postgres-tls' | 'postgres-probe' | 'plain';

/** PostgreSQL SSLRequest: length 8, code 80877103 (protocol documentation, "Message Formats"). */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

export function wireOf(toServer: Buffer): Wire {
  if (toServer.length === 0) return 'empty';
  const postgres = toServer.subarray(0, 8).equals(SSL_REQUEST);
  if (postgres && toServer.length === 8) return 'postgres-probe';
  if (!isTlsThroughout(toServer.subarray(postgres ? 8 : 0))) return 'plain';
  return postgres ? 'postgres-tls' : 'tls';
}

/** True when every byte lies in a TLS record (RFC 8446 §5.1); the last may have been cut by a reset. */
export function isTlsThroughout(stream: Buffer): boolean {
  let at = 0;
  while (at < stream.length) {
    const header = stream.subarray(at, at + 5);
    const type = header[0] ?? 0;
    if (type < 20 || type > 23) return false;
    if ((header[1] ?? 3) !== 3 || (header[2] ?? 3) > 4) return false;
    if (header.length < 5) return true;
    const length = header.readUInt16BE(3);
    // TLS 1.2 allows 2048 bytes over the plain text's 2^14 (RFC 5246 §6.2.3).
    if (length === 0 || length > 16_384 + 2048) return false;
    at += 5 + length;
  }
  // A stream has to begin with a handshake (or an alert), not with bytes that look like data.
  return stream[0] === 22 || stream[0] === 21;
}

export interface TlsRecord {
  /** ContentType, RFC 8446 §5.1: 20 change_cipher_spec, 21 alert, 22 handshake, 23 application_data. */
  readonly type: number;
  readonly length: number;
}

/** The records of a stream that is TLS throughout, for people to look at. */
export function tlsRecords(stream: Buffer): TlsRecord[] {
  const records: TlsRecord[] = [];
  for (let at = 0; at + 5 <= stream.length; ) {
    const length = stream.readUInt16BE(at + 3);
    records.push({ type: stream.readUInt8(at), length });
    at += 5 + length;
  }
  return records;
}

/** Where any of `markers` shows in what crossed: in a raw packet, or in a stream put together from several. */
export function findMarkers(packets: readonly Packet[], markers: readonly string[]): string[] {
  const found = new Set<string>();
  const search = (where: string, bytes: Buffer): void => {
    for (const marker of markers) {
      if (bytes.includes(marker)) found.add(`"${marker}" in ${where}`);
    }
  };
  for (const p of packets) search(`${p.transport} ${p.src}:${p.srcPort} > ${p.dst}:${p.dstPort}`, p.payload);
  for (const c of conversations(packets)) {
    search(`tcp ${c.client}:${c.clientPort} > ${c.server}:${c.serverPort}`, c.toServer);
    search(`tcp ${c.server}:${c.serverPort} > ${c.client}:${c.clientPort}`, c.toClient);
  }
  return [...found];
}
