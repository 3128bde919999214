/**
 * Holds the policy in force and changes it as one: a new one is complete, with everything it names found, before
 * the workers get it, and the kernel's tables follow only when every worker has it. Whatever fails on the way
 * leaves the old one in force and says why.
 */
import { messageOf } from '../core/errors.ts';
import { type CompileOptions, compilePolicy, loadPolicy } from '../policy/load.ts';
import { formatProblem, type Problem } from '../policy/problems.ts';
import type { CompiledPolicy } from '../policy/types.ts';
import type { AgentTables } from './enrolment.ts';

export interface PolicyTargets {
  /** @throws SluiceError NOT_SUPPORTED when this host cannot do what the policy demands. */
  readonly admit: (policy: CompiledPolicy) => void;
  /** @throws SluiceError POLICY when an agent cannot be enrolled. */
  readonly tables: (policy: CompiledPolicy) => AgentTables;
  readonly toWorkers: (policy: CompiledPolicy) => Promise<void>;
  readonly toKernel: (tables: AgentTables) => void;
  /** Told of what is doubtful but no error, such as a certificate that has expired. */
  readonly onWarning: (text: string) => void;
}

export interface PolicyState {
  readonly revision: string;
  readonly path: string;
  readonly loadedAt: string;
  readonly lastError: string | null;
}

export class PolicyKeeper {
  readonly #targets: PolicyTargets;
  #policy: CompiledPolicy;
  #tables: AgentTables;
  #path: string;
  #loadedAt = new Date();
  #lastError: string | null = null;
  /** Changes wait for each other, or two could leave workers and kernel with different ones. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Loads the first policy; puts nothing in force yet. */
  constructor(path: string, targets: PolicyTargets) {
    this.#targets = targets;
    this.#path = path;
    this.#policy = this.#load(path);
    this.#tables = targets.tables(this.#policy);
  }

  get policy(): CompiledPolicy {
    return this.#policy;
  }

  get tables(): AgentTables {
    return this.#tables;
  }

  /** Null: it is none of the policy's. */
  agentName(id: number): string | null {
    return this.policy.agents.find((agent) => agent.id === id)?.name ?? null;
  }

  state(): PolicyState {
    return {
      revision: this.#policy.revision,
      path: this.#path,
      loadedAt: this.#loadedAt.toISOString(),
      lastError: this.#lastError,
    };
  }

  /** Reads the file of the policy in force again. */
  reload(): Promise<CompiledPolicy> {
    return this.#change(() => ({ path: this.#path, policy: this.#load(this.#path) }));
  }

  /** Takes a document that was handed over; later reloads read its file. */
  apply(text: string, path: string, readFile: CompileOptions['readFile']): Promise<CompiledPolicy> {
    return this.#change(() => ({
      path,
      policy: compilePolicy(text, { path, readFile, ...this.#warnings(path) }),
    }));
  }

  /** Looks again for what the policy names: an upgraded executable has another inode. Whether that changed anything. */
  refresh(): Promise<boolean> {
    return this.#inTurn(async () => {
      const tables = this.#targets.tables(this.#policy);
      const same = JSON.stringify(tables, bigintText) === JSON.stringify(this.#tables, bigintText);
      if (same) return false;
      this.#targets.toKernel(tables);
      this.#tables = tables;
      return true;
    });
  }

  #load(path: string): CompiledPolicy {
    return loadPolicy(path, this.#warnings(path));
  }

  #warnings(path: string): { readonly onWarning: (problem: Problem) => void } {
    return { onWarning: (problem) => this.#targets.onWarning(formatProblem(path, problem)) };
  }

  #change(load: () => { readonly path: string; readonly policy: CompiledPolicy }): Promise<CompiledPolicy> {
    return this.#inTurn(async () => {
      try {
        const { path, policy } = load();
        this.#targets.admit(policy);
        const tables = this.#targets.tables(policy);
        await this.#putInForce(policy, tables);
        this.#policy = policy;
        this.#tables = tables;
        this.#path = path;
        this.#loadedAt = new Date();
        this.#lastError = null;
        return policy;
      } catch (error) {
        this.#lastError = messageOf(error);
        throw error;
      }
    });
  }

  /** Workers first, then the kernel; when either fails, the workers get the old policy back. */
  async #putInForce(policy: CompiledPolicy, tables: AgentTables): Promise<void> {
    try {
      await this.#targets.toWorkers(policy);
      this.#targets.toKernel(tables);
    } catch (error) {
      // A worker that takes neither has been replaced, and its successor starts with what was said last.
      await this.#targets.toWorkers(this.#policy).catch(() => undefined);
      throw error;
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
