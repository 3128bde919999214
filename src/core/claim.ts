/**
 * Checks of what an unprivileged process has sent. Workers and the forwarder read hostile bytes and are the first thing that would
 * be taken over, and the daemon is privileged: nothing of theirs is used before its shape was checked.
 */

/** An object, and beyond that anything. */
export type Claim = Readonly<Record<string, unknown>>;

export interface Check {
  (value: unknown): boolean;
  /**
   * Of a value that passed: a copy with what was checked and nothing else, so that nothing a sender adds of its own goes on. Absent
   * where that is the value itself.
   */
  readonly keep?: (value: unknown) => unknown;
}
/** The check of an object. */
export interface Shape<T> extends Check {
  (value: unknown): value is T;
  readonly keep: (value: unknown) => T;
}
/** One for each field, so that the compiler notices one that is missing. */
export type Checks<T> = { readonly [K in keyof T]-?: Check };

export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
export const isU32 = (value: unknown): value is number => isCount(value) && value < 2 ** 32;
export const isPort: Check = (value) => isCount(value) && value <= 65_535;
export const isFlag: Check = (value) => typeof value === 'boolean';
/** As the kernel numbers flows. */
export const isFlowId: Check = (value) => typeof value === 'string' && /^[0-9a-f]{16}$/.test(value);

export const isText =
  (maxChars: number): Check =>
  (value) =>
    typeof value === 'string' && value.length <= maxChars;

export const isHex =
  (minBytes: number, maxBytes: number): Check =>
  (value) =>
    typeof value === 'string' &&
    value.length >= 2 * minBytes &&
    value.length <= 2 * maxBytes &&
    /^(?:[0-9a-f]{2})*$/.test(value);

export const is =
  (only: unknown): Check =>
  (value) =>
    value === only;

export function orNull(check: Check): Check {
  const passes = (value: unknown): boolean => value === null || check(value);
  return Object.assign(passes, { keep: (value: unknown) => (value === null ? null : kept(check, value)) });
}

/** One of the keys. A record and not a list, so that the compiler notices a name that is missing. */
export const oneOf =
  (names: Readonly<Record<string, unknown>>): Check =>
  (value) =>
    typeof value === 'string' && Object.hasOwn(names, value);

export function listOf(check: Check, max: number): Check {
  const passes = (value: unknown): boolean =>
    Array.isArray(value) && value.length <= max && value.every((one) => check(one));
  const keep = (value: unknown): unknown =>
    Array.isArray(value) ? value.map((one) => kept(check, one)) : [];
  return Object.assign(passes, { keep });
}

export function shape<T>(checks: Checks<T>): Shape<T> {
  const list = Object.entries<Check>(checks);
  const passes = (value: unknown): value is T => {
    if (typeof value !== 'object' || value === null) return false;
    for (const [name, check] of list) if (!check(Reflect.get(value, name))) return false;
    return true;
  };
  const keep = (value: unknown): T =>
    Object.fromEntries(
      list.map(([name, check]) => [name, kept(check, Reflect.get(Object(value), name))]),
    ) as T;
  return Object.assign(passes, { keep });
}

function kept(check: Check, value: unknown): unknown {
  return check.keep === undefined ? value : check.keep(value);
}
