/**
 * What the daemon hands a worker by descriptor: listeners in other network namespaces, and unconnected sockets to
 * reach servers from there; and the forwarder: its sockets there. One line for all of it, so that it arrives in the
 * order it was sent.
 *
 * Only the daemon writes here, and who reads trusts it.
 */

export type NamespaceMessage =
  /** Its descriptors are listeners, one for each of `families`, in that order. */
  | { readonly type: 'listen'; readonly netnsCookie: bigint; readonly families: readonly (4 | 6)[] }
  /** Its descriptors are unconnected sockets. */
  | { readonly type: 'sockets'; readonly netnsCookie: bigint; readonly family: 4 | 6 }
  /** For the forwarder: its descriptors are as many datagram sockets as said, then its TCP listeners. */
  | { readonly type: 'forward'; readonly netnsCookie: bigint; readonly datagrams: number }
  /** For the forwarder: a question that came before its sockets were there, of whom, and whose it is. */
  | {
      readonly type: 'question';
      readonly netnsCookie: bigint;
      /** 16 bytes in hex; v4 in v4-mapped form. */
      readonly sender: string;
      readonly port: number;
      /** `struct sluice_flow`, in hex. */
      readonly flow: string;
      /** In base64. */
      readonly bytes: string;
    }
  /** No agent is left there: listeners and unused sockets are to be closed, for they keep it alive. */
  | { readonly type: 'close'; readonly netnsCookie: bigint };

/** A line carries 2,048 bytes a message (native/src/descriptors.cc); the longest, a question, has fewer than 1,200. */
export function encodeNamespaceMessage(message: NamespaceMessage): Buffer {
  return Buffer.from(JSON.stringify({ ...message, netnsCookie: String(message.netnsCookie) }));
}

export function decodeNamespaceMessage(bytes: Buffer): NamespaceMessage {
  const parsed = JSON.parse(bytes.toString('utf8')) as NamespaceMessage & { readonly netnsCookie: unknown };
  return { ...parsed, netnsCookie: BigInt(String(parsed.netnsCookie)) };
}
