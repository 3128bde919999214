/**
 * The files a policy document names, each read once, and the digest over all of them that becomes the revision:
 * a new CA under an old name is a new policy.
 */
import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { errnoOf, messageOf } from '../core/errors.ts';
import { PEM_MAX_BYTES, type PemResult } from './pem.ts';

/** Content of a file; throws if it cannot be read. */
export type ReadFile = (path: string) => string | Uint8Array;

export class PolicyFiles {
  readonly #directory: string;
  readonly #readFile: ReadFile;
  readonly #contents = new Map<string, PemResult<Uint8Array>>();

  constructor(policyPath: string, readFile: ReadFile) {
    this.#directory = dirname(resolve(policyPath));
    this.#readFile = readFile;
  }

  /** Relative paths start at the directory of the policy document, wherever the daemon was started. */
  read(path: string): PemResult<string> {
    const full = resolve(this.#directory, path);
    const content = this.#contents.get(full) ?? this.#load(full);
    this.#contents.set(full, content);
    if (!content.ok) return content;
    return { ok: true, value: Buffer.from(content.value).toString('latin1') };
  }

  #load(full: string): PemResult<Uint8Array> {
    try {
      const value = Buffer.from(this.#readFile(full));
      if (value.length <= PEM_MAX_BYTES) return { ok: true, value };
      return { ok: false, message: `is larger than ${PEM_MAX_BYTES} bytes`, hint: null };
    } catch (error) {
      const hint = errnoOf(error) === 'ENOENT' ? `looked for at ${full}` : null;
      return { ok: false, message: `cannot be read: ${errnoOf(error) ?? messageOf(error)}`, hint };
    }
  }

  /**
   * First 12 hex digits of SHA-256 over the document and every file read for it. Each part goes in with its
   * length, so no two different sets of parts run together into the same bytes.
   */
  revision(document: string): string {
    const hash = createHash('sha256');
    const add = (part: string | Uint8Array): void => {
      hash.update(`${Buffer.byteLength(part)}:`).update(part);
    };
    add(document);
    for (const [path, content] of [...this.#contents].sort(([a], [b]) => (a < b ? -1 : 1))) {
      // By the path relative to the document, so that one policy has one revision wherever it is installed.
      add(path.startsWith(`${this.#directory}/`) ? path.slice(this.#directory.length + 1) : path);
      if (content.ok) add(content.value);
    }
    return hash.digest('hex').slice(0, 12);
  }
}
