/**
 * Turns YAML text into plain values and remembers where each one stands, by JSON Pointer (RFC 6901), which is
 * how the schema validator names places too.
 *
 * The walk is our own, not the library's `toJS()`: it bounds what aliases may expand to, finds duplicate keys in
 * linear time, and gives values without a prototype, so that a key such as `__proto__` is only a key.
 */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Problem } from './problems.ts';

/** A policy for thousands of agents takes a tenth of this; more is a mistake or an attack on the daemon. */
export const DOCUMENT_MAX_BYTES = 1024 * 1024;
/** The document of the largest allowed size has fewer values unless aliases multiply them. */
const MAX_VALUES = 200_000;
/** The schema is six levels deep. */
const MAX_DEPTH = 32;
const NESTED_TOO_DEEPLY = 'the document is nested too deeply';

export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface PolicySource {
  /** Null-prototype objects, arrays and scalars; undefined when the text could not be read at all. */
  readonly value: unknown;
  /** What is wrong with the text as YAML. */
  readonly problems: readonly Problem[];
  /** Where the value of a pointer stands (of the nearest parent when there is none there). */
  placeOf(pointer: string): Place;
  /** Where the key of a pointer stands. */
  placeOfKey(pointer: string): Place;
}

export function readSource(text: string): PolicySource {
  const start: Place = { line: 1, column: 1 };
  const refuse = (message: string, hint: string | null): PolicySource => ({
    value: undefined,
    problems: [{ ...start, path: '', message, hint }],
    placeOf: () => start,
    placeOfKey: () => start,
  });
  if (Buffer.byteLength(text) > DOCUMENT_MAX_BYTES) {
    return refuse(`the document is larger than ${DOCUMENT_MAX_BYTES} bytes`, null);
  }
  const lines = new LineCounter();
  let document: Document.Parsed;
  try {
    // Duplicate keys are found below: the library compares each key with each other one.
    document = parseDocument(text, {
      lineCounter: lines,
      schema: 'core',
      merge: false,
      prettyErrors: false,
      uniqueKeys: false,
    });
  } catch (error) {
    // The parser is recursive; everything else it has to say is in `document.errors`.
    if (error instanceof RangeError) return refuse(NESTED_TOO_DEEPLY, null);
    throw error;
  }
  return new SourceReader(document, lines).read();
}

class SourceReader {
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #problems: Problem[] = [];
  readonly #values = new Map<string, number>();
  readonly #keys = new Map<string, number>();
  /** Anchors seen so far: an alias means the last one of its name before it (YAML 1.2.2 §7.1). */
  readonly #anchors = new Map<string, unknown>();
  readonly #open = new Set<unknown>();
  #count = 0;

  constructor(document: Document.Parsed, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  read(): PolicySource {
    this.#reportSyntax();
    const usable = this.#problems.length === 0;
    const value = usable ? this.#walk(this.#document.contents, '', 0) : undefined;
    return {
      value: this.#count > MAX_VALUES ? undefined : value,
      problems: this.#problems,
      placeOf: (pointer) => this.#place(this.#nearestOffset(pointer)),
      placeOfKey: (pointer) => this.#place(this.#keys.get(pointer) ?? this.#nearestOffset(pointer)),
    };
  }

  /** The parser often says several things of one place: the first is the cause. */
  #reportSyntax(): void {
    const told = new Set<number>();
    for (const { pos, code, message } of [...this.#document.errors, ...this.#document.warnings]) {
      if (told.has(pos[0])) continue;
      told.add(pos[0]);
      let text = message.split('\n', 1)[0] ?? message;
      if (code === 'MULTIPLE_DOCS') text = 'the file holds more than one document';
      // What the parser makes of its own stack running out.
      if (text === 'Maximum call stack size exceeded') text = NESTED_TOO_DEEPLY;
      this.#report(pos[0], '', text, null);
    }
  }

  #walk(node: unknown, pointer: string, depth: number): unknown {
    this.#count += 1;
    if (this.#count > MAX_VALUES) {
      if (this.#count === MAX_VALUES + 1) {
        this.#report(
          offsetOf(node),
          pointer,
          `the document has more than ${MAX_VALUES} values`,
          'aliases count each time',
        );
      }
      return null;
    }
    if (isAlias(node)) return this.#walkAlias(node, pointer, depth);
    this.#values.set(pointer, offsetOf(node));
    if (depth > MAX_DEPTH) {
      this.#report(offsetOf(node), pointer, `nested more than ${MAX_DEPTH} levels deep`, null);
      return null;
    }
    if (isScalar(node)) {
      this.#remember(node);
      return node.value;
    }
    // An anchor is known inside its own node, where an alias to it would never end.
    this.#remember(node);
    this.#open.add(node);
    const value = this.#walkCollection(node, pointer, depth);
    this.#open.delete(node);
    return value;
  }

  #walkCollection(node: unknown, pointer: string, depth: number): unknown {
    if (isSeq(node)) return node.items.map((item, i) => this.#walk(item, `${pointer}/${i}`, depth + 1));
    if (!isMap(node)) return null;
    const map: Record<string, unknown> = Object.create(null);
    for (const { key, value } of node.items) {
      const name = this.#keyName(key, pointer);
      if (name === null) continue;
      const child = `${pointer}/${escapePointer(name)}`;
      if (Object.hasOwn(map, name)) {
        const first = this.#place(this.#keys.get(child) ?? 0);
        this.#report(
          offsetOf(key),
          child,
          `the key "${name}" stands here twice`,
          `first on line ${first.line}`,
        );
        continue;
      }
      this.#keys.set(child, offsetOf(key));
      map[name] = this.#walk(value, child, depth + 1);
      // A key without a value has no node of its own to point at.
      if (value === null) this.#values.set(child, offsetOf(key));
    }
    return map;
  }

  #keyName(key: unknown, pointer: string): string | null {
    if (isScalar(key) && ['string', 'number', 'boolean'].includes(typeof key.value)) return String(key.value);
    this.#report(offsetOf(key), pointer, 'a key must be a plain word or number', null);
    return null;
  }

  #walkAlias(alias: { source: string }, pointer: string, depth: number): unknown {
    const target = this.#anchors.get(alias.source);
    if (target === undefined || this.#open.has(target)) {
      const message =
        target === undefined
          ? `no anchor "&${alias.source}" before this alias`
          : 'the alias stands inside its own anchor';
      this.#report(offsetOf(alias), pointer, message, null);
      return null;
    }
    return this.#walk(target, pointer, depth);
  }

  #remember(node: unknown): void {
    const anchor = isScalar(node) || isSeq(node) || isMap(node) ? node.anchor : undefined;
    if (anchor !== undefined) this.#anchors.set(anchor, node);
  }

  #nearestOffset(pointer: string): number {
    for (let at = pointer; ; at = at.slice(0, at.lastIndexOf('/'))) {
      const offset = this.#values.get(at);
      if (offset !== undefined) return offset;
      if (at === '') return 0;
    }
  }

  #place(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset);
    // An empty text has no line at all.
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  #report(offset: number, pointer: string, message: string, hint: string | null): void {
    this.#problems.push({ ...this.#place(offset), path: displayPath(pointer), message, hint });
  }
}

function offsetOf(node: unknown): number {
  if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) return 0;
  return Number(node.range[0]);
}

function escapePointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

export function childPointer(pointer: string, key: string | number): string {
  return `${pointer}/${escapePointer(String(key))}`;
}

/** `/rules/0/agents/1` as people write it: `rules[0].agents[1]`. */
export function displayPath(pointer: string): string {
  let path = '';
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (/^\d+$/.test(key)) path += `[${key}]`;
    else path += path === '' ? key : `.${key}`;
  }
  return path;
}
