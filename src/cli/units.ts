/** Numbers, counts and times as people write and read them. */
import { parseTime } from '../api/flow-filter.ts';
import { SluiceError } from '../core/errors.ts';

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** `10m`, `90s`, `2h`, `1d`, `1w` before `nowMs`, or an RFC 3339 time; as Unix milliseconds. Throws SluiceError `CONFIG`. */
export function parseSince(text: string, nowMs: number): number {
  const match = /^(\d{1,6})([smhdw])$/.exec(text);
  const unitMs = UNIT_MS[match?.[2] ?? ''];
  if (match !== null && unitMs !== undefined) return nowMs - Number(match[1]) * unitMs;
  try {
    return parseTime('since', text);
  } catch (cause) {
    throw new SluiceError('CONFIG', 'neither a span of time nor a time', {
      cause,
      hint: '90s, 10m, 2h, 1d or 1w ago, or in RFC 3339: 2026-01-31T12:00:00Z',
    });
  }
}

/** `1 rule`, `2 rules`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `0 B`, `1.5 KiB`, `12 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** `0.4 ms`, `42 ms`, `1.2 s`, `3 min`, `2.5 h`. */
export function formatDuration(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 99_950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 5_970_000) return `${(ms / 60_000).toFixed(0)} min`;
  return `${(ms / 3_600_000).toFixed(1)} h`;
}

/** `2026-01-31 12:00:00` in local time; the text itself if it is no time. */
export function formatTime(rfc3339: string): string {
  const date = new Date(rfc3339);
  if (Number.isNaN(date.getTime())) return rfc3339;
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
