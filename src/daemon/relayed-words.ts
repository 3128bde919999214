/**
 * What a worker or the forwarder writes to standard error, on its way into the daemon's log. They read hostile bytes: with a
 * descriptor of the daemon's they could write lines of its own, an approval or a flow record. So each line is marked as
 * theirs, nothing in it can begin another, and one process is listened to for a while only.
 */
import type { Readable } from 'node:stream';
import { plainLine } from '../core/unsafe-text.ts';

/** A stack trace of V8's is shorter. */
const MAX_LINES = 100;
const MAX_LINE_CHARS = 1_024;

/**
 * Gives each line that comes by `stream`, as `who: line`, to `say`; what is longer is cut. After MAX_LINES the stream is
 * destroyed.
 */
export function relayWords(stream: Readable, who: string, say: (line: string) => void): void {
  let begun = '';
  let told = 0;
  const tell = (line: string): void => {
    if (told > MAX_LINES || line === '') return;
    told += 1;
    const words = plainLine(line.slice(0, MAX_LINE_CHARS));
    say(told > MAX_LINES ? `${who}: (says more than is told here)` : `${who}: ${words}`);
    if (told > MAX_LINES) stream.destroy();
  };
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (begun + text).split('\n');
    // What is beyond the cut would be kept for nothing.
    begun = (lines.pop() ?? '').slice(0, MAX_LINE_CHARS);
    for (const line of lines) tell(line);
  });
  stream.on('end', () => tell(begun));
  // It has ended, or is cut off: there is nothing more to be told.
  stream.on('error', () => {});
}
