/** One filter after the other. */
import type { ByteFilter } from './relay.ts';

const NOTHING: readonly Uint8Array[] = [];

export function chain(first: ByteFilter | null, second: ByteFilter): ByteFilter {
  if (first === null) return second;
  const through = (parts: readonly Uint8Array[]): Uint8Array[] =>
    parts.flatMap((part) => [...second.push(part)]);
  // One that is done, and has said all it had to say, is out of the way: it was the beginning of a long conversation.
  let isAlone = false;
  return {
    push: (chunk) => {
      if (isAlone || first.done) return second.push(chunk);
      return through(first.push(chunk));
    },
    back: () => {
      if (isAlone) return second.back?.() ?? NOTHING;
      isAlone = first.done;
      return [...(first.back?.() ?? []), ...(second.back?.() ?? [])];
    },
    end: () => [...through(first.end?.() ?? []), ...(second.end?.() ?? [])],
    onReady: (wake) => {
      first.onReady?.(wake);
      second.onReady?.(wake);
    },
    get full() {
      return (!isAlone && first.full === true) || second.full === true;
    },
    get done() {
      return (isAlone || first.done) && second.done;
    },
  };
}
