/** One filter after the other. */
import type { ByteFilter } from './relay.ts';

export function chain(first: ByteFilter | null, second: ByteFilter): ByteFilter {
  if (first === null) return second;
  return {
    push: (chunk) => first.push(chunk).flatMap((part) => [...second.push(part)]),
    back: () => [...(first.back?.() ?? []), ...(second.back?.() ?? [])],
    get done() {
      return first.done && second.done;
    },
  };
}
