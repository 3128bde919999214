/** Sessions of real clients with a real server, as they were on the wire (`test/fixtures/postgres/sessions`). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Turn {
  readonly from: 'C' | 'S';
  readonly bytes: Buffer;
}

const FIXTURES = join(import.meta.dirname, '../fixtures/postgres/sessions');

export function recorded(client: string): Turn[] {
  const lines = readFileSync(join(FIXTURES, `${client}.txt`), 'latin1')
    .trim()
    .split('\n');
  return lines.map((line) => ({
    from: line.startsWith('C') ? 'C' : 'S',
    bytes: Buffer.from(line.slice(2), 'hex'),
  }));
}

/** Type, length and content of each message; what is no whole message at the end is one of its own. */
export function messagesOf(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end =
      bytes.length - at < 5 ? bytes.length : Math.min(bytes.length, at + 1 + bytes.readUInt32BE(at + 1));
    messages.push(bytes.subarray(at, Math.max(end, at + 1)));
    at = Math.max(end, at + 1);
  }
  return messages;
}
