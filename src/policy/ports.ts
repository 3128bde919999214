/** Ports as the policy document writes them: a number, `"443"`, or `"8000-8010"`. */

/** First and last port, both inclusive. */
export type PortRange = readonly [number, number];

/** Null if the text is no port or range; a range is never empty. */
export function parsePorts(value: string | number): PortRange | null {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(value));
  if (match === null) return null;
  const first = Number(match[1]);
  const last = match[2] === undefined ? first : Number(match[2]);
  return first >= 1 && first <= last && last <= 65535 ? [first, last] : null;
}

/** An empty list means any port. */
export function inPorts(ranges: readonly PortRange[], port: number): boolean {
  if (ranges.length === 0) return true;
  for (const range of ranges) {
    if (port >= range[0] && port <= range[1]) return true;
  }
  return false;
}
