/**
 * What a session is cancelled by: the number of its process at the server, and a secret key (protocol documentation,
 * "BackendKeyData", "CancelRequest"). 4 bytes in protocol 3.0; since 3.2 as many as the server likes, up to 256.
 */
import { CANCEL_CODE } from './codes.ts';

export const KEY_MIN_BYTES = 4;
export const KEY_MAX_BYTES = 256;

/** Length, code, process: what stands before the key. */
const HEAD_BYTES = 12;

/** The shortest and the longest CancelRequest. */
export const CANCEL_MIN_BYTES: number = HEAD_BYTES + KEY_MIN_BYTES;
export const CANCEL_MAX_BYTES: number = HEAD_BYTES + KEY_MAX_BYTES;

/** Length of the longest BackendKeyData, as in the message: length, process, key. */
export const BACKEND_KEY_MAX_LENGTH: number = 8 + KEY_MAX_BYTES;

export interface CancelKey {
  /** Unsigned, as it is carried; what it means is the server's matter. */
  readonly processId: number;
  readonly key: Buffer;
}

/** `raw`: a whole CancelRequest whose length has been checked. The key is a view of it. */
export function readCancelRequest(raw: Buffer): CancelKey {
  return { processId: raw.readUInt32BE(8), key: raw.subarray(HEAD_BYTES) };
}

export function cancelRequest({ processId, key }: CancelKey): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(HEAD_BYTES + key.length, 0);
  head.writeUInt32BE(CANCEL_CODE, 4);
  head.writeUInt32BE(processId, 8);
  return Buffer.concat([head, key]);
}
