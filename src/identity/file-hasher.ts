/**
 * SHA-256 of executables: never on the path of a connection, one file at a time, remembered for as long as the
 * file is the same one (device, inode, size and both time stamps).
 */
import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { BoundedMap } from '../core/bounded-map.ts';
import { type Clock, systemClock } from '../core/clock.ts';

/** Larger files are not hashed: reading them would take longer than any flow waits, again after each change. */
const MAX_FILE_BYTES = 1024n ** 3n;
/** What is hashed between two turns of the event loop: well under a millisecond. */
const CHUNK_BYTES = 256 * 1024;
/** Digests remembered: more than the executables of a host that are in use at a time. */
const MAX_CACHED = 4_096;
/** Files waiting, each with a descriptor open. */
const MAX_WAITING = 64;
/** A file changed this recently might change again under the same time stamp; its digest is not remembered. */
const SETTLED_MS = 1_000;

export interface FileDigest {
  /** Hex; null if it could not be told. */
  readonly sha256: string | null;
  /** False when asking again later may give another answer. */
  readonly final: boolean;
}

function keyOf(stat: BigIntStats): string {
  return `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
}

export class FileHasher {
  readonly #clock: Clock;
  readonly #known: BoundedMap<string, string>;
  readonly #running = new Map<string, Promise<FileDigest>>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: { readonly clock?: Clock; readonly maxCached?: number } = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#known = new BoundedMap(options.maxCached ?? MAX_CACHED);
  }

  /** Takes the handle over and closes it. Never rejects. */
  async digest(handle: FileHandle, stat: BigIntStats): Promise<FileDigest> {
    const key = keyOf(stat);
    const known = this.#known.get(key);
    const running = this.#running.get(key);
    if (known !== undefined || running !== undefined || stat.size > MAX_FILE_BYTES) {
      await handle.close();
      return known === undefined && running !== undefined ? running : { sha256: known ?? null, final: true };
    }
    if (this.#running.size >= MAX_WAITING) {
      await handle.close();
      return { sha256: null, final: false };
    }
    const job = this.#last.then(() => this.#hash(handle, stat, key));
    this.#last = job;
    this.#running.set(key, job);
    return job;
  }

  async #hash(handle: FileHandle, before: BigIntStats, key: string): Promise<FileDigest> {
    try {
      const settled = this.#clock.now() - Number(before.ctimeNs / 1_000_000n) > SETTLED_MS;
      const sha256 = await read(handle, before.size);
      const same = keyOf(await handle.stat({ bigint: true })) === key;
      if (sha256 === null || !same) return { sha256: null, final: false };
      if (settled) this.#known.set(key, sha256);
      return { sha256, final: settled };
    } catch {
      return { sha256: null, final: false };
    } finally {
      this.#running.delete(key);
      await handle.close().catch(() => undefined);
    }
  }
}

async function read(handle: FileHandle, size: bigint): Promise<string | null> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let position = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) break;
    position += bytesRead;
    // A file that grows while it is read would otherwise be read for as long as it grows.
    if (position > size) return null;
    hash.update(buffer.subarray(0, bytesRead));
  }
  return hash.digest('hex');
}
