/** What a reader makes of a stream, as one value that can be compared: the fuzz invariant in one place. */
import { ProtocolError } from '#src/core/protocol-error.ts';
import { wipe } from '#test/support/splits.ts';

export type Outcome<Value> =
  | { readonly value: Value }
  | { readonly error: string; readonly fault: string; readonly protocol: string };

/**
 * Pushes all chunks and yields what `result` says in the end, or the protocol error. Any other error is thrown:
 * it is a fault of the reader. Chunks are overwritten after each push, so that nothing may be kept of them.
 */
export function outcomeOf<Value>(
  chunks: readonly Buffer[],
  push: (chunk: Buffer) => void,
  result: () => Value,
): Outcome<Value> {
  try {
    for (const chunk of chunks) {
      push(chunk);
      wipe(chunk);
    }
    return { value: result() };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { error: error.message, fault: error.fault, protocol: error.protocol };
  }
}
