/**
 * Which layers of enforcement are in force: `base`, the cgroup hooks, or `lsm`, the BPF LSM as well. Never assumed:
 * its programs are attached, and then the self-test's agent tries what they alone refuse.
 */
import { SluiceError } from '../core/errors.ts';
import { activeModules } from '../kernel/lsm.ts';
import type { CompiledPolicy } from '../policy/types.ts';

export type Tier = 'base' | 'lsm';

/** The part of kernel/lsm.ts that is needed here. */
export interface Layer {
  attach(): string | null;
  replace(maps: string): string | null;
  detach(): void;
  missing(): readonly string[];
}

export interface TierState {
  readonly tier: Tier;
  /** Why it is not the highest; null when it is. One sentence. */
  readonly reason: string | null;
  /** It was higher when the daemon began. */
  readonly fallen: boolean;
}

export class TierKeeper {
  readonly #layer: Layer;
  /** Why the layer is not there at all; null: it is attached. */
  #absent: string | null = 'it has not been tried yet';
  #state: TierState = { tier: 'base', reason: this.#absent, fallen: false };

  constructor(layer: Layer) {
    this.#layer = layer;
  }

  get state(): TierState {
    return this.#state;
  }

  /**
   * Attaches the layer if the kernel takes it, and lets the agent try. What is attached and never asked is taken away
   * again.
   *
   * @param attempt gives null when every attempt was refused, or what was not
   */
  async raise(attempt: () => Promise<string | null>): Promise<TierState> {
    this.#absent = this.#layer.attach();
    if (this.#absent !== null) return this.measured(null);
    const open = await attempt();
    if (open === null) return this.measured(null);
    this.#layer.detach();
    this.#absent = `programs of the BPF LSM are attached and the kernel does not ask them (${open})${modulesText()}`;
    return this.measured(null);
  }

  /** Of another ABI, by maps in that directory; why it could not be. It is measured with `raise` afterwards. */
  replace(maps: string): string | null {
    return this.#layer.replace(maps);
  }

  /** What a self-test found: null when every attempt was refused, or what was not. */
  measured(open: string | null): TierState {
    const missing = this.#absent === null ? this.#layer.missing() : [];
    const unpinned = missing.length > 0 ? `no longer pinned: ${missing.join(', ')}` : null;
    const reason = this.#absent ?? unpinned ?? (open === null ? null : `not refused any longer: ${open}`);
    const fallen = this.#absent === null && reason !== null;
    this.#state = { tier: reason === null ? 'lsm' : 'base', reason, fallen };
    return this.#state;
  }

  /** Null: the policy asks for no more than there is. One sentence. */
  shortOf({ enforcement }: CompiledPolicy): string | null {
    if (enforcement.minimum === 'base' || this.#state.tier === 'lsm') return null;
    return `policy demands the enforcement tier ${enforcement.minimum}, and this host has ${this.#state.tier}: ${this.#state.reason}`;
  }

  /** @throws SluiceError NOT_SUPPORTED for a policy that demands more than there is. */
  demand(policy: CompiledPolicy): void {
    const short = this.shortOf(policy);
    if (short !== null)
      throw new SluiceError('NOT_SUPPORTED', short, {
        hint: 'boot a kernel with CONFIG_BPF_LSM=y and `bpf` in lsm= on its command line, or take enforcement.minimum out of the policy',
      });
  }
}

function modulesText(): string {
  const modules = activeModules();
  if (modules === null) return '';
  return modules.includes('bpf') ? '' : `: its security modules are ${modules.join(',')}, without bpf`;
}
