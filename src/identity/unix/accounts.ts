/**
 * Names of users and groups, from /etc/passwd and /etc/group.
 *
 * The files are read, and nothing else of NSS: a look-up in a directory server could itself be a connection that
 * waits for a flow to be attested. Names of directory users are therefore not known; their numbers are.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemClock } from '../../core/clock.ts';

/** How long a file is believed unchanged without a look. */
const RECHECK_MS = 2_000;
/** A larger file is no account file of a host this is made for; it is ignored. */
const MAX_FILE_BYTES = 8 * 1024 * 1024;

/** Third field to first field of each line of passwd(5) or group(5); the first line with a number counts. */
export function parseNames(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':', 3);
    if (!name || id === undefined || !/^\d{1,10}$/.test(id)) continue;
    if (!names.has(Number(id))) names.set(Number(id), name);
  }
  return names;
}

class NameFile {
  readonly #path: string;
  readonly #clock: Clock;
  #names = new Map<number, string>();
  #version = '';
  #checkedMs = Number.NEGATIVE_INFINITY;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  async name(id: number): Promise<string | null> {
    if (this.#clock.monotonic() - this.#checkedMs >= RECHECK_MS) await this.#refresh();
    return this.#names.get(id) ?? null;
  }

  async #refresh(): Promise<void> {
    this.#checkedMs = this.#clock.monotonic();
    try {
      const now = await stat(this.#path, { bigint: true });
      const version = `${now.ino}:${now.size}:${now.mtimeNs}:${now.ctimeNs}`;
      if (version === this.#version || now.size > MAX_FILE_BYTES) return;
      this.#names = parseNames(await readFile(this.#path, 'utf8'));
      this.#version = version;
    } catch {
      // Being replaced, or not there: the names known so far stand.
    }
  }
}

export class Accounts {
  readonly #users: NameFile;
  readonly #groups: NameFile;

  constructor(etcRoot: string, clock: Clock = systemClock) {
    this.#users = new NameFile(join(etcRoot, 'passwd'), clock);
    this.#groups = new NameFile(join(etcRoot, 'group'), clock);
  }

  user(uid: number): Promise<string | null> {
    return this.#users.name(uid);
  }

  group(gid: number): Promise<string | null> {
    return this.#groups.name(gid);
  }
}
