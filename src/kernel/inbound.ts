/** The kernel's table of whom agents may serve, as bytes; see `struct sluice_inbound` in bpf/api/sluice.h. */
import { layout } from './layout.ts';

export function encodeInboundKey(generation: number, agent: number): Buffer {
  const bytes = Buffer.alloc(layout.sluice_inbound_key.size);
  bytes.writeUInt32LE(generation, 0);
  bytes.writeUInt32LE(agent, 4);
  return bytes;
}

/** The most entries one agent can have: SLUICE_INBOUND_MAX. */
export const INBOUND_MAX = 64;

export interface InboundRange {
  /** Id of the rule; never 0. */
  readonly rule: number;
  /** IPPROTO_*. */
  readonly protocol: number;
  readonly ports: readonly [number, number];
  /** First and last address, 32 hex digits each, v4 in v4-mapped form. */
  readonly addresses: readonly [string, string];
}

/** @throws RangeError for more than INBOUND_MAX: what does not fit must not be left out. */
export function encodeInbound(ranges: readonly InboundRange[]): Buffer {
  const { size, fields } = layout.sluice_inbound;
  const entry = layout.sluice_inbound_range;
  const bytes = Buffer.alloc(size);
  if (ranges.length > INBOUND_MAX) throw new RangeError(`${ranges.length} inbound ranges`);
  bytes.writeUInt32LE(ranges.length, fields.count);
  for (const [index, range] of ranges.entries()) {
    const at = fields.ranges + index * entry.size;
    for (const [text, offset] of [
      [range.addresses[0], entry.fields.first],
      [range.addresses[1], entry.fields.last],
    ] as const) {
      bytes.writeBigUInt64LE(BigInt(`0x${text.slice(0, 16)}`), at + offset);
      bytes.writeBigUInt64LE(BigInt(`0x${text.slice(16)}`), at + offset + 8);
    }
    bytes.writeUInt32LE(range.rule, at + entry.fields.rule);
    bytes.writeUInt16LE(range.ports[0], at + entry.fields.first_port);
    bytes.writeUInt16LE(range.ports[1], at + entry.fields.last_port);
    bytes.writeUInt8(range.protocol, at + entry.fields.protocol);
  }
  return bytes;
}
