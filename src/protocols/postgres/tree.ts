/** Reading the parser's tree (parser.ts): what is told of it in the same way wherever somebody looks into it. */
import type { ObjectName } from '../../flow/operation.ts';
import { isNode, type Node } from './parser.ts';

/** All nodes below and with it, each before what is in it. The tree may be as deep as it likes. */
export function* nodesOf(root: unknown): Generator<Node> {
  const waiting: unknown[] = [root];
  while (waiting.length > 0) {
    const at = waiting.pop();
    if (Array.isArray(at)) for (const item of at) waiting.push(item);
    if (!isNode(at)) continue;
    yield at;
    for (const value of Object.values(at))
      if (typeof value === 'object' && value !== null) waiting.push(value);
  }
}

/** None where there is no list: the tree leaves out those that are empty. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The text of a String, which names are made of; null: it is something else. */
export function stringOf(item: unknown): string | null {
  const text = isNode(item) && isNode(item['String']) ? item['String']['sval'] : undefined;
  return typeof text === 'string' ? text : null;
}

/** The relation a RangeVar names; null: the node is none. */
export function relationOf({ relname, schemaname }: Node): ObjectName | null {
  if (typeof relname !== 'string') return null;
  return { schema: typeof schemaname === 'string' ? schemaname : null, name: relname };
}

/** A column of a result, or one that is set; null: the item is none. */
export function targetOf(item: unknown): Node | null {
  const target = isNode(item) ? item['ResTarget'] : undefined;
  return isNode(target) ? target : null;
}

/** The name of such a column; null: it has none. */
export function targetName(item: unknown): string | null {
  const name = targetOf(item)?.['name'];
  return typeof name === 'string' ? name : null;
}
