/**
 * What each agent resolved: by address the name of its most recent answer. One agent's answers say nothing about
 * another's: who runs a name's servers chooses its addresses, and would name other agents' servers by it.
 *
 * Kept for the answer's life, within bounds: some libraries use an address for a while longer than they may, and no
 * name may stand for an address for ever.
 */
import { BoundedMap } from '../../core/bounded-map.ts';
import type { Clock } from '../../core/clock.ts';

export const LIFE_MIN_MS = 60_000;
export const LIFE_MAX_MS = 3_600_000;

/** Some hundred bytes each. */
const MAX_ADDRESSES_PER_AGENT = 4096;
/** The agents of a policy, far more than one host has. */
const MAX_AGENTS = 256;

interface Remembered {
  readonly name: string;
  readonly untilMs: number;
}

export class NameMemory {
  readonly #clock: Clock;
  readonly #agents = new BoundedMap<number, BoundedMap<string, Remembered>>(MAX_AGENTS);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param name in the form of `normaliseDnsName` @param addresses in the form of `normaliseIp` */
  remember(agentId: number, name: string, addresses: readonly string[], ttlSeconds: number): void {
    if (addresses.length === 0) return;
    let names = this.#agents.get(agentId);
    if (names === undefined) {
      names = new BoundedMap(MAX_ADDRESSES_PER_AGENT);
      this.#agents.set(agentId, names);
    }
    const lifeMs = Math.min(LIFE_MAX_MS, Math.max(LIFE_MIN_MS, ttlSeconds * 1000));
    const untilMs = this.#clock.monotonic() + lifeMs;
    for (const address of addresses) names.set(address, { name, untilMs });
  }

  nameFor(agentId: number, address: string): string | null {
    const names = this.#agents.get(agentId);
    const found = names?.get(address);
    if (found === undefined) return null;
    if (found.untilMs > this.#clock.monotonic()) return found.name;
    names?.delete(address);
    return null;
  }
}
