/** Encodes and decodes the structs of bpf/api/sluice.h that are about network namespaces; offsets are in layout.ts. */
import { layout } from './layout.ts';

/** What is known of a network namespace: a listener is open there, or there will be none. */
export type NamespaceState = 'open' | 'refused';

const namespaceStates: Readonly<Record<NamespaceState, number>> = { open: 2, refused: 3 };

/** @param quietUntilNs CLOCK_BOOTTIME; the kernel does not ask again before */
export function encodeNamespace(state: NamespaceState, quietUntilNs: bigint): Buffer {
  const bytes = Buffer.alloc(layout.sluice_netns.size);
  bytes.writeBigUInt64LE(quietUntilNs, layout.sluice_netns.fields.quiet_until_ns);
  bytes.writeUInt32LE(namespaceStates[state], layout.sluice_netns.fields.state);
  return bytes;
}

/** An agent was seen in a network namespace in which there is no listener. */
export interface NamespaceEvent {
  readonly cookie: bigint;
  /** A task that was there; it may be gone or elsewhere by now. */
  readonly tid: number;
  readonly question: EarlyQuestion | null;
}

/** A DNS question that was asked before the forwarder had a socket there. Its bytes are an agent's. */
export interface EarlyQuestion {
  /** 16 bytes; v4 in v4-mapped form. */
  readonly sender: Buffer;
  readonly port: number;
  /** `struct sluice_flow`. */
  readonly flow: Buffer;
  readonly bytes: Buffer;
}

export function decodeNamespaceEvent(bytes: Buffer, at = 0): NamespaceEvent {
  const fields = layout.sluice_netns_event.fields;
  return {
    cookie: bytes.readBigUInt64LE(at + fields.netns_cookie),
    tid: bytes.readUInt32LE(at + fields.tid),
    question: decodeQuestion(bytes, at),
  };
}

function decodeQuestion(bytes: Buffer, at: number): EarlyQuestion | null {
  const { fields } = layout.sluice_netns_event;
  const length = bytes.readUInt16LE(at + fields.length);
  if (length === 0) return null;
  const part = (offset: number, size: number): Buffer => bytes.subarray(at + offset, at + offset + size);
  return {
    sender: part(fields.sender, 16),
    port: bytes.readUInt16LE(at + fields.port),
    flow: part(fields.flow, layout.sluice_flow.size),
    bytes: part(fields.question, length),
  };
}
