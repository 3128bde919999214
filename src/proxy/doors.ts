/**
 * Listening sockets that are shut while there are no descriptors to accept with.
 *
 * An accept(2) that fails for want of a descriptor leaves the connection in its queue and the listener readable. libuv then
 * closes a descriptor it has spare, accepts and closes whoever waits, and nobody here gets to see them; where even that
 * does not help it asks again at once, for ever. So while too few descriptors are left, be it for this process or for the
 * host, nobody is asked: connections wait in the kernel's queue, those that are open go on, and when descriptors come
 * free the doors open again.
 *
 * A door is opened on a duplicate of its descriptor, because closing a server closes what it listens on.
 */
import { closeSync, openSync } from 'node:fs';
import type { Server } from 'node:net';
import { errnoOf } from '../core/errors.ts';

/** So many must be free. Between two looks more connections may come: those libuv ends, and the ledger records as lost. */
const SPARE_DESCRIPTORS = 16;

export interface DoorsOptions {
  /** Makes a server listen on a descriptor that it owns from then on. */
  readonly listen: (server: Server, fd: number) => void;
  /** Another descriptor of the same socket. @throws EMFILE, ENFILE */
  readonly duplicate: (fd: number) => number;
  readonly closeFd: (fd: number) => void;
  /** Whether so many can be opened. */
  readonly hasSpare?: (count: number) => boolean;
}

interface Door {
  /** Kept while the door is shut, and given back when it is taken away. */
  readonly fd: number;
  readonly makeServer: () => Server;
  server: Server | null;
}

export class Doors {
  readonly #options: DoorsOptions;
  readonly #doors = new Set<Door>();
  #shut = false;

  constructor(options: DoorsOptions) {
    this.#options = options;
  }

  /** Whether nobody is let in for want of descriptors. */
  get shut(): boolean {
    return this.#shut;
  }

  /**
   * Listens on a socket that the caller gives away; returns what takes the door away again.
   *
   * @param makeServer a server that is not listening, each time the door opens
   */
  add(fd: number, makeServer: () => Server): () => void {
    const door: Door = { fd, makeServer, server: null };
    this.#doors.add(door);
    if (!this.#shut) this.#open(door);
    return () => {
      if (!this.#doors.delete(door)) return;
      door.server?.close();
      this.#options.closeFd(fd);
    };
  }

  /** To be called about once a second. */
  look(): void {
    const shut = !(this.#options.hasSpare ?? canOpen)(SPARE_DESCRIPTORS);
    if (shut === this.#shut) return;
    this.#shut = shut;
    // Opening may shut them again.
    for (const door of this.#doors) {
      if (this.#shut) this.#close(door);
      else this.#open(door);
    }
  }

  #open(door: Door): void {
    const { listen, duplicate } = this.#options;
    try {
      const server = door.makeServer();
      listen(server, duplicate(door.fd));
      door.server = server;
    } catch (error) {
      if (!isShortage(error)) throw error;
      // Somebody was faster: with the next look it is tried again.
      this.#shut = true;
      for (const other of this.#doors) this.#close(other);
    }
  }

  #close(door: Door): void {
    door.server?.close();
    door.server = null;
  }
}

function isShortage(error: unknown): boolean {
  const code = errnoOf(error);
  return code === 'EMFILE' || code === 'ENFILE';
}

/** Asks by opening them: what is left of a limit does not tell of descriptors that are used up for the whole host. */
export function canOpen(count: number): boolean {
  const opened: number[] = [];
  try {
    while (opened.length < count) opened.push(openSync('/dev/null', 'r'));
    return true;
  } catch (error) {
    // Without /dev/null it cannot be told, and doors are for letting in.
    return !isShortage(error);
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}
