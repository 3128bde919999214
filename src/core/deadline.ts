/**
 * A bound on how long something is waited for that comes by a socket.
 *
 * A process that was kept from running, by another flow's work or by a busy host, finds the clock's word and the socket's at once,
 * and the event loop tells it the clock's first. So sockets are read once more before the time counts as up: whoever spoke in
 * time is heard.
 */

/** Calls `onPassed` once `ms` have passed and nobody has called it off. @returns what calls it off */
export function deadline(ms: number, onPassed: () => void): () => void {
  let reading: NodeJS.Immediate | null = null;
  const timer = setTimeout(
    () => {
      // Immediates run behind the next look at the sockets.
      reading = setImmediate(onPassed);
    },
    Math.max(0, ms),
  );
  return () => {
    clearTimeout(timer);
    if (reading !== null) clearImmediate(reading);
  };
}
