/**
 * What may wait for approval at a time, on this host. Whoever answers cannot look through more, and in its worker each has a flow, a
 * timer, a text of 128 KiB at most and 128 KiB behind it. One agent must not take the room of the others.
 */
const WAITING_MAX = 256;
const WAITING_PER_AGENT_MAX = 64;

/**
 * Why no more can wait, in words that end a sentence; null: there is room.
 *
 * @param agents whose it is, of each that waits
 * @param agent whose the next is
 */
export function whyNoRoom(agents: readonly (string | null)[], agent: string | null): string | null {
  if (agents.length >= WAITING_MAX) return 'too many wait for approval already';
  const ofAgent = agents.filter((other) => other === agent).length;
  return ofAgent >= WAITING_PER_AGENT_MAX ? 'too much of this agent waits for approval already' : null;
}
