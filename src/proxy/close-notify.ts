/**
 * Whether a server said that it has sent all it will.
 *
 * In TLS that is an alert, close_notify (RFC 8446 §6.1), which only the server can send; a FIN without it can be
 * anybody's on the path, and what came before it may be cut short. Many servers leave the alert out, so a flow is not
 * broken for it: the agent sees an end, as it would of the server itself, and the record says how it came.
 *
 * To Node's users both are `end`. Beneath they differ: the alert is found while TCP is still being read, or just after
 * reading was stopped for want of room; when a FIN ends the stream libuv reads no more. So the moment the end is told, the
 * TCP handle is asked to read, and answers whether it does already. Without it, or with
 * another answer, nothing is claimed.
 */
import { constants } from 'node:os';
import type { TLSSocket } from 'node:tls';
import { handleOf, tcpHandleOf } from './socket-fd.ts';

/** Gives what is known by then: true after close_notify, false after a FIN without; null: the server has not ended. */
export function watchCloseNotify(secure: TLSSocket): () => boolean | null {
  const push = secure.push.bind(secure);
  let said: boolean | null = null;
  secure.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (chunk === null) said = saidSo(secure);
    return push(chunk, encoding);
  };
  return () => said;
}

const ALREADY_READING = -constants.errno.EALREADY;

function saidSo(secure: TLSSocket): boolean | null {
  const wrap = handleOf(secure);
  const tcp = tcpHandleOf(secure);
  if (wrap === null || tcp === null) return null;
  if (Reflect.get(wrap, 'reading') === false) return true;
  const answer = call(tcp, 'readStart');
  if (answer === ALREADY_READING) return true;
  if (answer !== 0) return null;
  // It was not reading, and shall not be for having been asked.
  call(tcp, 'readStop');
  return false;
}

function call(handle: object, method: string): unknown {
  const found: unknown = Reflect.get(handle, method);
  return typeof found === 'function' ? Reflect.apply(found, handle, []) : undefined;
}
