/**
 * Two texts beside each other, in columns of the terminal's width, for the demo. Bytes from outside are made
 * harmless here: nothing of them can move the cursor or set a colour.
 */

export interface Column {
  readonly title: string;
  readonly lines: readonly string[];
}

const GAP = ' │ ';

/** Lines of the two columns; what is too long for its column goes on in the next line. */
export function sideBySide(left: Column, right: Column, width: number): string[] {
  const column = Math.floor((width - GAP.length) / 2);
  const wrap = (lines: readonly string[]): string[] => lines.flatMap((line) => wrapLine(line, column));
  const [a, b] = [wrap(left.lines), wrap(right.lines)];
  const row = (x = '', y = ''): string => `${x.padEnd(column)}${GAP}${y}`.trimEnd();
  const rule = `${'─'.repeat(column)}─┼─${'─'.repeat(column)}`;
  const rows = Array.from({ length: Math.max(a.length, b.length) }, (_, i) => row(a[i], b[i]));
  return [row(left.title, right.title), rule, ...rows];
}

function wrapLine(line: string, width: number): string[] {
  if (line.length <= width) return [line];
  return [line.slice(0, width), ...wrapLine(line.slice(width), width)];
}

/** Bytes as text: lines at line ends, a dot for what cannot be shown. At most `maxLines`. */
export function asText(bytes: Buffer, maxLines: number): string[] {
  const lines = bytes
    .toString('latin1')
    .split(/\r?\n/)
    .map((line) => line.replace(/[^\x20-\x7e]/g, '·'));
  return lines.length <= maxLines ? lines : [...lines.slice(0, maxLines), '…'];
}

/** Twelve bytes to a line: with their text beside them they fit half of a terminal of 120 columns. */
const HEX_BYTES_PER_LINE = 12;

/** Bytes as hexdump lines, at most `maxLines`. */
export function asHex(bytes: Buffer, maxLines: number): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length && lines.length < maxLines; at += HEX_BYTES_PER_LINE) {
    const part = bytes.subarray(at, at + HEX_BYTES_PER_LINE);
    const hex = part.toString('hex').replace(/../g, '$& ').trimEnd();
    const text = part.toString('latin1').replace(/[^\x20-\x7e]/g, '·');
    lines.push(`${hex.padEnd(HEX_BYTES_PER_LINE * 3)}${text}`);
  }
  if (bytes.length > maxLines * HEX_BYTES_PER_LINE) lines.push(`… ${bytes.length} bytes in all`);
  return lines;
}
