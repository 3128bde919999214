/** One filter after the other. */
import type { ByteFilter } from './relay.ts';

export function chain(first: ByteFilter | null, second: ByteFilter): ByteFilter {
  if (first === null) return second;
  const through = (parts: readonly Uint8Array[]): Uint8Array[] =>
    parts.flatMap((part) => [...second.push(part)]);
  return {
    // One that is done is out of the way.
    push: (chunk) => (first.done ? second.push(chunk) : through(first.push(chunk))),
    back: () => [...(first.back?.() ?? []), ...(second.back?.() ?? [])],
    end: () => [...through(first.end?.() ?? []), ...(second.end?.() ?? [])],
    onReady: (wake) => {
      first.onReady?.(wake);
      second.onReady?.(wake);
    },
    get full() {
      return first.full === true || second.full === true;
    },
    get done() {
      return first.done && second.done;
    },
  };
}
