/**
 * Follows an expression to the values of the statement it is made of: constants and parameters, wherever in the statement they stand
 * (a list of VALUES, a query in FROM or WITH, an array that is taken apart, what RETURNING gives back).
 *
 * On the safe side: where several may be meant all are, and where it does not show which value becomes which it says so.
 */
import { isNode, type Node } from '../../parser.ts';
import { listOf, stringOf } from '../../tree.ts';
import {
  isGap,
  itemOf,
  type Output,
  opaque,
  type RangeItem,
  type RangeItems,
  type Scope,
  type Source,
  sourcesOf,
} from './range-items.ts';

export interface Found {
  /** A constant or a parameter, as the tree has it under its kind. */
  value(node: Node): void;
  /** A column of a table, or of what may be one. */
  column?(name: string): void;
  /** Values are in it, and which of them does not show. */
  unclear(): void;
}

interface Expression {
  readonly expression: unknown;
  readonly scope: Scope;
  readonly isOpaque: boolean;
}

interface Waiting {
  readonly source: Source;
  readonly isOpaque: boolean;
}

/** Parts of expressions, of one text: a hostile one could lead on and on. */
const STEPS_MAX = 500_000;

export class Origins {
  readonly #items: RangeItems;
  /** Once all was made: it stays what it is. */
  readonly #names = new Map<RangeItem, Names>();
  #steps = STEPS_MAX;

  constructor(items: RangeItems) {
    this.#items = items;
  }

  /** Nothing more is followed. */
  get isExhausted(): boolean {
    return this.#steps <= 0;
  }

  follow(sources: readonly Source[], found: Found): void {
    const waiting: Waiting[] = sources.map((source) => ({ source, isOpaque: false }));
    const seen = { clear: new Set<unknown>(), opaque: new Set<unknown>() };
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { source } = next;
      this.#steps -= 1;
      if (source === 'anywhere' || this.#steps <= 0) {
        found.unclear();
        if (this.#steps <= 0) return;
        continue;
      }
      const isOpaque = next.isOpaque || source.isOpaque === true;
      const known = isOpaque ? seen.opaque : seen.clear;
      // By its expression as well: of that there may be several sources.
      const key = 'expression' in source ? source.expression : source;
      if (known.has(key)) continue;
      known.add(key);
      for (const each of this.#behind(source, isOpaque, found)) waiting.push({ source: each, isOpaque });
    }
  }

  #behind(source: Exclude<Source, string>, isOpaque: boolean, found: Found): readonly Source[] {
    if ('expression' in source) return this.#expression({ ...source, isOpaque }, found);
    return 'outputs' in source ? sourcesOf(source.outputs()) : source.sources;
  }

  /** Whether there is any value in it. */
  reaches(sources: readonly Source[]): boolean {
    let reached = false;
    const found = (): void => {
      reached = true;
    };
    this.follow(sources, { value: found, unclear: found });
    return reached;
  }

  /** @returns what is behind names and queries in it */
  #expression({ expression, scope, isOpaque }: Expression, found: Found): readonly Source[] {
    const behind: Source[] = [];
    const parts: unknown[] = [expression];
    while (parts.length > 0) {
      this.#steps -= 1;
      const at = parts.pop();
      if (Array.isArray(at)) for (const item of at) parts.push(item);
      if (!isNode(at)) continue;
      if ('A_Const' in at || 'ParamRef' in at) {
        if (isNull(at)) continue;
        if (isOpaque === true) found.unclear();
        else found.value(at);
        continue;
      }
      for (const [key, value] of Object.entries(at)) {
        if (typeof value !== 'object' || value === null || key === 'typeName') continue;
        if (key === 'ColumnRef' && isNode(value)) behind.push(...this.#reference(value, scope, found));
        else if (key === 'SubLink' && isNode(value)) {
          if (value['subLinkType'] === 'EXISTS_SUBLINK') continue;
          behind.push(...sourcesOf(this.#items.outputs(value['subselect'], scope)));
          parts.push(value['testexpr']);
        } else parts.push(value);
      }
    }
    return behind;
  }

  #reference(reference: Node, scope: Scope, found: Found): readonly Source[] {
    const fields = listOf(reference['fields']);
    const names = fields.map(stringOf);
    const last = names.at(-1) ?? null;
    // A table's own, by its schema.
    if (names.length > 2) return [];
    if (last === null) {
      const item = names.length === 2 ? itemOf(names[0] ?? '', scope) : null;
      return opaque(sourcesOf((item === null ? scope.items : [item]).flatMap((each) => each.star())));
    }
    found.column?.(last);
    const [first] = names;
    return names.length === 2 && typeof first === 'string'
      ? this.#qualified(first, last, scope)
      : this.#bare(last, scope);
  }

  #qualified(alias: string, name: string, scope: Scope): readonly Source[] {
    this.#steps -= scope.items.length;
    const item = itemOf(alias, scope);
    if (item === null) return [];
    const { certain, possible } = this.#meant(item, name);
    return certain ?? possible;
  }

  /** The nearest column of that name. */
  #bare(name: string, from: Scope): readonly Source[] {
    const possible: Source[] = [];
    for (let scope: Scope | null = from; scope !== null; scope = scope.parent) {
      this.#steps -= scope.items.length;
      const all = scope.items.map((item) => this.#meant(item, name));
      const certain = all.flatMap((each) => each.certain ?? []);
      if (all.some((each) => each.certain !== null)) return certain;
      for (const each of all) possible.push(...each.possible);
      // A whole row.
      for (const item of scope.items)
        if (item.alias === name) possible.push(...opaque(sourcesOf(item.star())));
    }
    return possible;
  }

  #meant(item: RangeItem, name: string): Meant {
    let names = this.#names.get(item);
    if (names === undefined) {
      names = namesOf(item.columns());
      this.#names.set(item, names);
    }
    return { certain: names.certain.get(name) ?? null, possible: names.possible };
  }
}

interface Names {
  readonly certain: ReadonlyMap<string, readonly Source[]>;
  /** Of columns that may have any name. */
  readonly possible: readonly Source[];
}

interface Meant {
  /** Null: none has that name for certain. */
  readonly certain: readonly Source[] | null;
  readonly possible: readonly Source[];
}

function namesOf(outputs: readonly Output[]): Names {
  const certain = new Map<string, Source[]>();
  const possible: Source[] = [];
  for (const output of outputs) {
    const sources = sourcesOf([output]);
    if (isGap(output) || output.name === null) possible.push({ sources });
    else certain.set(output.name, [...(certain.get(output.name) ?? []), { sources }]);
  }
  return { certain, possible };
}

/** There is nothing to be masked in NULL. */
function isNull(node: Node): boolean {
  return isNode(node['A_Const']) && node['A_Const']['isnull'] === true;
}
