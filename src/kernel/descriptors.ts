/** Descriptors: on their way from the daemon to a worker, as whole messages with what belongs to them; and a few acts on one. */
import { addon, type NativeDescriptorReader } from './addon.ts';

/** At most this many go with one message; native/src/descriptors.cc has the same bound. */
export const MAX_DESCRIPTORS = 64;

/** Two ends of a line: the daemon's and the worker's. */
export function descriptorPair(): readonly [number, number] {
  return addon().descriptorPair();
}

/**
 * Sends and never waits; false when the other side is gone or has not read for long. The sender keeps its
 * descriptors either way.
 */
export function sendDescriptors(line: number, message: Buffer, fds: readonly number[]): boolean {
  return addon().sendDescriptors(line, message, fds);
}

/** Those that read: nothing else may hold a reader, and one that is collected as garbage hangs up. */
const reading = new Set<DescriptorReader>();

/** Reads until closed. `onMessage` owns the descriptors it is given. */
export class DescriptorReader {
  readonly #native: NativeDescriptorReader;

  constructor(fd: number, onMessage: (message: Buffer, fds: readonly number[]) => void) {
    this.#native = new (addon().DescriptorReader)(fd, onMessage);
    reading.add(this);
  }

  close(): void {
    reading.delete(this);
    this.#native.close();
  }
}

/** Another descriptor of the same file. @throws with the errno as `code`: EMFILE where there is none to be had */
export function duplicateFd(fd: number): number {
  return addon().duplicateFd(fd);
}

export function closeFd(fd: number): void {
  addon().closeFd(fd);
}

/** Who has connected a Unix socket: process and user, as they were then. @throws with the errno as `code` */
export function peerCredentials(fd: number): { readonly pid: number; readonly uid: number } {
  return addon().peerCredentials(fd);
}

/** What went wrong with a socket and nobody was told yet, with the errno as its `code`; the kernel tells it once. */
export function socketError(fd: number): Error | null {
  return addon().socketError(fd);
}

/**
 * Has a TCP connection end by RST as soon as its descriptor is closed, whatever is unsent: SO_LINGER of no time (socket(7)).
 * Of what is no socket any more nothing is left to be reset.
 */
export function resetOnClose(fd: number): void {
  addon().resetOnClose(fd);
}

/** How many of the bytes a connection took at once; 0 as well where something is wrong with it, which is not told. */
export function sendNow(fd: number, bytes: Uint8Array): number {
  return addon().sendNow(fd, bytes);
}
