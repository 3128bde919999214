/**
 * What each agent resolved: by address the name of its most recent answer. One agent's answers say nothing about
 * another's: who runs a name's servers chooses its addresses, and would name other agents' servers by it.
 *
 * Kept for the answer's life and the grace policy gives: programs use an address for a while longer than they may. What
 * that allows is looked at when a name is asked for, so a change of policy holds for what was resolved before it.
 */
import { BoundedMap } from '../../core/bounded-map.ts';
import type { Clock } from '../../core/clock.ts';
import type { NameLife } from '../../policy/types.ts';

/** Some hundred bytes each. */
const MAX_ADDRESSES_PER_AGENT = 4096;
/** The agents of a policy, far more than one host has. */
const MAX_AGENTS = 256;

interface Remembered {
  readonly name: string;
  readonly atMs: number;
  readonly ttlSeconds: number;
}

export class NameMemory {
  readonly #clock: Clock;
  readonly #agents = new BoundedMap<number, BoundedMap<string, Remembered>>(MAX_AGENTS);

  life: NameLife;

  constructor(clock: Clock, life: NameLife) {
    this.#clock = clock;
    this.life = life;
  }

  /** @param name in the form of `normaliseDnsName` @param addresses in the form of `normaliseIp` */
  remember(agentId: number, name: string, addresses: readonly string[], ttlSeconds: number): void {
    if (addresses.length === 0) return;
    let names = this.#agents.get(agentId);
    if (names === undefined) {
      names = new BoundedMap(MAX_ADDRESSES_PER_AGENT);
      this.#agents.set(agentId, names);
    }
    const remembered = { name, atMs: this.#clock.monotonic(), ttlSeconds };
    for (const address of addresses) names.set(address, remembered);
  }

  nameFor(agentId: number, address: string): string | null {
    const names = this.#agents.get(agentId);
    const found = names?.get(address);
    if (found === undefined) return null;
    const { graceSeconds, maxSeconds } = this.life;
    const lifeMs = Math.min(maxSeconds, found.ttlSeconds + graceSeconds) * 1000;
    if (this.#clock.monotonic() < found.atMs + lifeMs) return found.name;
    names?.delete(address);
    return null;
  }
}
