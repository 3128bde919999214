/**
 * Arrays and composites as text (PostgreSQL documentation, "Array Input and Output Syntax", "Composite Type Input and
 * Output Syntax"): taken apart, each element masked, and put together again so that it is read as what it was.
 *
 * A byte is a character here (latin1): all that separates is ASCII, and the rest is carried as it came.
 */

/** An element's text, quotes and escapes resolved. Undefined: as it is; null: NULL. */
export type ElementMask = (text: Buffer) => Uint8Array | null | undefined;

/** @returns the new text; null: nothing was changed; undefined: it is no array */
export function mapArrayText(bytes: Uint8Array, mask: ElementMask): Buffer | null | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  // `[0:2]={…}` where the first index is not 1.
  const dimensions = /^(?:\[[-+\d:]+\])+=/.exec(text)?.[0] ?? '';
  if (text[dimensions.length] !== '{' || !text.endsWith('}')) return undefined;
  const out = [dimensions];
  let changed = false;
  let depth = 0;
  let at = dimensions.length;
  while (at < text.length) {
    const char = text.charAt(at);
    if (char === '{' || char === '}' || char === ',' || char === ';') {
      depth += char === '{' ? 1 : char === '}' ? -1 : 0;
      if (depth < 0 || (depth === 0 && at + 1 < text.length)) return undefined;
      out.push(char);
      at += 1;
      continue;
    }
    const end = elementEnd(text, at, /[,;}{]/);
    if (end === -1) return undefined;
    const written = text.slice(at, end);
    at = end;
    const masked = written === 'NULL' ? undefined : mask(Buffer.from(unquoted(written), 'latin1'));
    if (masked === undefined) {
      out.push(written);
      continue;
    }
    changed = true;
    out.push(masked === null ? 'NULL' : quoted(masked, '\\'));
  }
  if (depth !== 0) return undefined;
  return changed ? Buffer.from(out.join(''), 'latin1') : null;
}

/** As mapArrayText(), for `(a,"b c",)`. A field of nothing is NULL. */
export function mapCompositeText(bytes: Uint8Array, mask: ElementMask): Buffer | null | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  if (!text.startsWith('(') || !text.endsWith(')')) return undefined;
  const out: string[] = [];
  let changed = false;
  let at = 1;
  for (;;) {
    const end = elementEnd(text, at, /[,)(]/);
    if (end === -1) return undefined;
    const written = text.slice(at, end);
    const masked = written === '' ? undefined : mask(Buffer.from(unquoted(written), 'latin1'));
    if (masked !== undefined) changed = true;
    out.push(masked === undefined ? written : masked === null ? '' : quoted(masked, '"'));
    at = end + 1;
    if (text[end] === ')') break;
    if (text[end] !== ',') return undefined;
  }
  if (at !== text.length) return undefined;
  return changed ? Buffer.from(`(${out.join(',')})`, 'latin1') : null;
}

/** Where the element that begins at `at` ends; -1: nowhere. */
function elementEnd(text: string, at: number, stop: RegExp): number {
  let inQuotes = false;
  for (let here = at; here < text.length; here += 1) {
    const char = text.charAt(here);
    if (char === '\\') here += 1;
    // `""` inside of quotes leaves them and comes back at once.
    else if (char === '"') inQuotes = !inQuotes;
    else if (!inQuotes && stop.test(char)) return here;
  }
  return -1;
}

function unquoted(written: string): string {
  if (!/["\\]/.test(written)) return written;
  let text = '';
  let inQuotes = false;
  for (let here = 0; here < written.length; here += 1) {
    const char = written.charAt(here);
    if (char === '\\') {
      here += 1;
      text += written.charAt(here);
    } else if (char !== '"') text += char;
    else if (inQuotes && written.charAt(here + 1) === '"') {
      here += 1;
      text += '"';
    } else inQuotes = !inQuotes;
  }
  return text;
}

/** @param before what goes before a quote: a backslash in arrays, another quote in composites */
function quoted(bytes: Uint8Array, before: '\\' | '"'): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', `${before}"`)}"`;
}
