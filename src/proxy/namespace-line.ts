/**
 * What the daemon hands a worker by descriptor: listeners in other network namespaces, and unconnected sockets to
 * reach servers from there. One line for all of it, so that it arrives in the order it was sent.
 *
 * Only the daemon writes here, and a worker trusts it.
 */

export type NamespaceMessage =
  /** Its descriptors are listeners, one for each of `families`, in that order. */
  | { readonly type: 'listen'; readonly netnsCookie: bigint; readonly families: readonly (4 | 6)[] }
  /** Its descriptors are unconnected sockets. */
  | { readonly type: 'sockets'; readonly netnsCookie: bigint; readonly family: 4 | 6 }
  /** No agent is left there: listeners and unused sockets are to be closed, for they keep it alive. */
  | { readonly type: 'close'; readonly netnsCookie: bigint };

/** A line carries 512 bytes a message (native/src/descriptors.cc); the longest here, with 32 listeners, has fewer than 200. */
export function encodeNamespaceMessage(message: NamespaceMessage): Buffer {
  return Buffer.from(JSON.stringify({ ...message, netnsCookie: String(message.netnsCookie) }));
}

export function decodeNamespaceMessage(bytes: Buffer): NamespaceMessage {
  const parsed = JSON.parse(bytes.toString('utf8')) as NamespaceMessage & { readonly netnsCookie: unknown };
  return { ...parsed, netnsCookie: BigInt(String(parsed.netnsCookie)) };
}
