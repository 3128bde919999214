/** The number by which the kernel plane knows an agent: a name does not fit into a map value, this does. */
import { createHash } from 'node:crypto';

/**
 * First four bytes of SHA-256 of the UTF-8 name, big-endian. It follows from the name alone, so pinned maps
 * stay right over restarts and reloads. Zero means "no agent" in the kernel, so it is never given out; two names
 * with one id are refused when the policy is loaded.
 */
export function agentId(name: string): number {
  const id = createHash('sha256').update(name, 'utf8').digest().readUInt32BE(0);
  return id === 0 ? 1 : id;
}
