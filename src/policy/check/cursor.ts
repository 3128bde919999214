/**
 * A place in a document of which nothing is certain yet: the checks of meaning run beside those of form, so
 * each reads only what it needs and skips what is already known to be malformed.
 */
import { childPointer } from '../positions.ts';
import type { Report } from '../report.ts';

export class Cursor {
  readonly report: Report;
  readonly pointer: string;
  readonly value: unknown;

  constructor(report: Report, value: unknown, pointer = '') {
    this.report = report;
    this.value = value;
    this.pointer = pointer;
  }

  /** The value of a key; one that is missing has the value undefined and the place of its parent. */
  get(key: string): Cursor {
    const { value } = this;
    const isObject = typeof value === 'object' && value !== null && Object.hasOwn(value, key);
    const child = isObject ? Reflect.get(value, key) : undefined;
    return new Cursor(this.report, child, childPointer(this.pointer, key));
  }

  /** Nothing unless it is a list. */
  items(): Cursor[] {
    if (!Array.isArray(this.value)) return [];
    return this.value.map((item, i) => new Cursor(this.report, item, childPointer(this.pointer, i)));
  }

  keys(): string[] {
    return typeof this.value === 'object' && this.value !== null ? Object.keys(this.value) : [];
  }

  get present(): boolean {
    return this.value !== undefined;
  }

  /** Nothing has been found wrong here or below. */
  get clean(): boolean {
    return this.report.isClean(this.pointer);
  }

  /** Null unless it is well-formed text. */
  get text(): string | null {
    return typeof this.value === 'string' && this.clean ? this.value : null;
  }

  error(message: string, hint: string | null = null): void {
    this.report.error(this.pointer, message, hint);
  }

  warn(message: string, hint: string | null = null): void {
    this.report.warning(this.pointer, message, hint);
  }
}

/** Reports every name in a list that an earlier entry of the list bears already. */
export function checkUniqueNames(list: Cursor, what: string): void {
  const first = new Map<string, Cursor>();
  for (const entry of list.items()) {
    const name = entry.get('name');
    if (name.text === null) continue;
    const earlier = first.get(name.text);
    if (earlier === undefined) first.set(name.text, name);
    else
      name.error(
        `another ${what} is named "${name.text}"`,
        `on line ${earlier.report.lineOf(earlier.pointer)}`,
      );
  }
}
