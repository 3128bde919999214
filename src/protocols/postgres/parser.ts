/**
 * PostgreSQL's own parser (libpg_query, as WebAssembly): a statement's text in, the tree the server would make of it
 * out.
 *
 * An instance whose call did not come back in order (its stack ran out on a deeply nested text) has an unknown state,
 * and what it would say next cannot be trusted. It is thrown away; a spare one takes over, and until there is one
 * nothing is understood. Instances share nothing.
 */
import { readFileSync } from 'node:fs';
import makeInstance, { type PgQueryModule } from 'libpg-query/wasm/libpg-query.js';
import { isTooHeavy } from './text-weight.ts';

/** A node of the tree: JSON as libpg_query writes it, by the names of nodes/parsenodes.h. */
export type Node = Readonly<Record<string, unknown>>;

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export type Parsed =
  /** One for each statement of the text; none if it holds only blanks and comments. */
  | { readonly kind: 'statements'; readonly statements: readonly Node[] }
  /** The text is none of the language. `message` quotes it. */
  | { readonly kind: 'syntax-error'; readonly message: string; readonly position: number }
  | { readonly kind: 'too-complex' };

/** And not too heavy (text-weight.ts): those that are shorter may be read for longer. */
export const STATEMENT_MAX_BYTES = 131_072;

/** Memory of an instance begins with 128 MiB, of which little is touched, and only ever grows: beyond this it is made anew. */
const HEAP_MAX_BYTES = 256 * 1024 * 1024;

/** Spares for texts that break one, which takes a hostile agent; made again in a few milliseconds. */
const SPARES = 2;

/** Trees of longer texts are kept for as long as they are being looked at: they take many times the room of the text. */
const KEPT_MAX_BYTES = 16_384;

/** The text that was read last: rules, masks and what follows a session each read the same one in turn. */
let last: { readonly text: Buffer; readonly parsed: Parsed } | null = null;

let code: WebAssembly.Module | null = null;
let instance: PgQueryModule | null = null;
const spares: PgQueryModule[] = [];

/** Reads the code and makes the first instances. To be awaited once, while the package can still be read. */
export async function loadParser(): Promise<void> {
  if (code !== null) return;
  const file = new URL(import.meta.resolve('libpg-query/wasm/libpg-query.wasm'));
  code = new WebAssembly.Module(readFileSync(file));
  instance = await make(code);
  await refill();
}

function make(from: WebAssembly.Module): Promise<PgQueryModule> {
  return makeInstance({
    instantiateWasm: (imports, done) => {
      const made = new WebAssembly.Instance(from, imports);
      done(made);
      return made.exports;
    },
    print: ignore,
    printErr: ignore,
  });
}

async function refill(): Promise<void> {
  while (code !== null && spares.length < SPARES) spares.push(await make(code));
}

/** What the parser prints would quote a statement. */
function ignore(): void {}

/**
 * @param text without NUL, in UTF-8 or ASCII, at most STATEMENT_MAX_BYTES
 * @throws Error when loadParser() has not been awaited
 */
export function parse(text: Buffer): Parsed {
  if (code === null) throw new Error('the parser is not loaded');
  if (last?.text.equals(text) === true) return last.parsed;
  if (instance === null || !mayBeRead(text)) return { kind: 'too-complex' };
  last = null;
  try {
    const parsed = parseWith(instance, text);
    keep({ text: Buffer.from(text), parsed });
    if (instance.HEAPU8.length > HEAP_MAX_BYTES) replace();
    return parsed;
  } catch {
    replace();
    return { kind: 'too-complex' };
  }
}

function mayBeRead(text: Buffer): boolean {
  return text.length <= STATEMENT_MAX_BYTES && !isTooHeavy(text);
}

function keep(read: NonNullable<typeof last>): void {
  last = read;
  if (read.text.length <= KEPT_MAX_BYTES) return;
  setImmediate(() => {
    if (last === read) last = null;
  });
}

/** A word, a constant, an operator or a comment of the text, by its bytes. */
export interface Token {
  readonly start: number;
  readonly end: number;
}

/**
 * The text cut as PostgreSQL's scanner cuts it. Null where it cannot be. @param text as parse() takes it
 * @throws Error when loadParser() has not been awaited
 */
export function scan(text: Buffer): readonly Token[] | null {
  if (code === null) throw new Error('the parser is not loaded');
  if (instance === null || !mayBeRead(text)) return null;
  try {
    return scanWith(instance, text);
  } catch {
    replace();
    return null;
  }
}

function scanWith(module: PgQueryModule, text: Buffer): readonly Token[] | null {
  const pointer = copyIn(module, text);
  const result = module._wasm_scan(pointer);
  const said = stringAt(module, result);
  module._wasm_free_string(result);
  module._free(pointer);
  // A text it cannot cut is answered by a message.
  if (!said.startsWith('{')) return null;
  return (JSON.parse(said) as { readonly tokens?: readonly Token[] }).tokens ?? [];
}

function replace(): void {
  instance = spares.pop() ?? null;
  void refill().then(() => {
    instance ??= spares.pop() ?? null;
  });
}

function parseWith(module: PgQueryModule, text: Buffer): Parsed {
  const pointer = copyIn(module, text);
  const result = module._wasm_parse_query_raw(pointer);
  if (result === 0) throw new Error('out of memory');
  const parsed = read(module, result);
  module._wasm_free_parse_result(result);
  module._free(pointer);
  return parsed;
}

function copyIn(module: PgQueryModule, text: Buffer): number {
  const pointer = module._malloc(text.length + 1);
  if (pointer === 0) throw new Error('out of memory');
  module.HEAPU8.set(text, pointer);
  module.HEAPU8[pointer + text.length] = 0;
  return pointer;
}

/** `PgQueryParseResult` and `PgQueryError` of pg_query.h. */
function read(module: PgQueryModule, result: number): Parsed {
  const word = (address: number): number => module.HEAPU32[address >>> 2] ?? 0;
  const error = word(result + 8);
  if (error !== 0) {
    const position = word(error + 16);
    return { kind: 'syntax-error', message: stringAt(module, word(error)), position };
  }
  const tree = JSON.parse(stringAt(module, word(result))) as { readonly stmts?: readonly Node[] };
  return { kind: 'statements', statements: tree.stmts ?? [] };
}

function stringAt({ HEAPU8 }: PgQueryModule, pointer: number): string {
  if (pointer === 0) throw new Error('no result');
  const end = HEAPU8.indexOf(0, pointer);
  return Buffer.from(HEAPU8.buffer, pointer, end - pointer).toString('utf8');
}
