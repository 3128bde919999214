/** SQL: what is said of a statement, of one written otherwise, and of texts that are none. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { EFFECTS } from '#src/flow/operation.ts';
import { type Classified, classify } from '#src/protocols/postgres/classify.ts';
import { statementFacts } from '#src/protocols/postgres/masking/touch.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { edit, edited, type Target } from '../target.ts';

await loadParser();

const path = join(import.meta.dirname, '../../fixtures/postgres/statements.txt');
const TEXTS = readFileSync(path, 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) =>
    line
      .slice(line.lastIndexOf(' | ') + 3)
      .replaceAll('\\n', '\n')
      .replaceAll('\\t', '\t'),
  );

const KINDS: ReadonlySet<string> = new Set(['operations', 'syntax-error', 'too-complex']);

function checked(text: string): Classified {
  const bytes = Buffer.from(text.replaceAll('\0', ''));
  const read = classify(bytes);
  if (!KINDS.has(read.kind)) throw new Error(`no kind: ${read.kind}`);
  if (read.kind === 'operations')
    for (const { effects, verb, columns } of read.operations) {
      if (verb === '' && effects.size > 0) throw new Error('effects without a verb');
      for (const effect of effects) if (!EFFECTS.includes(effect)) throw new Error(`no effect: ${effect}`);
      if (columns.length > bytes.length * 64) throw new Error('more columns than there can be');
    }
  const facts = statementFacts(bytes);
  // A word alone is no statement, and says nothing.
  if ((facts === null) !== (read.kind !== 'operations') && !/^\w+$/.test(bytes.toString('latin1')))
    throw new Error('understood by one and not by the other');
  return read;
}

/** What policy is told, whatever the spelling. */
function told(read: Classified): string {
  if (read.kind !== 'operations') return read.kind;
  return JSON.stringify([
    read.changesReading,
    read.operations.map(({ effects, relations, functions, columns }) => [
      [...effects].sort(),
      relations,
      functions,
      columns,
    ]),
  ]);
}

/** Simple enough to be taken apart by a regular expression: names, numbers, strings, signs. */
const SIMPLE = TEXTS.filter(
  (text) => /^[\w\s'.,()*=;<>/-]+$/.test(text) && !/--|\/\*|'[^']*['\n]*'{2}/.test(text),
);
const TOKENS = /'[^']*'|[A-Za-z_]\w*|\d+(?:\.\d+)?|[<>=]+|\s+|./g;
/** Between any two tokens. */
const BETWEEN = fc.constantFrom(
  ' ',
  '\n',
  '\t',
  '\f',
  '/**/',
  '/* ; DROP TABLE t */',
  '-- \' " $$\n',
  '/*/* */*/',
  ' \r\n ',
);

const token = fc.oneof(
  fc.constantFrom(
    'select',
    'from',
    'where',
    'drop',
    'table',
    'delete',
    'update',
    'set',
    'insert',
    'into',
    'with',
    'as',
    '(',
    ')',
    ',',
    ';',
    '*',
    '=',
    '.',
    "'x'",
    '"y"',
    '$1',
    '$$',
    "e'\\'",
    'U&"\\0041"',
    '::',
    '[',
    ']',
    'array',
    'case',
    'end',
    'union',
    'all',
    'do',
    'call',
    'copy',
    'to',
    'program',
    'stdout',
    'a',
    'b',
    '1',
    'and',
    'or',
    'not',
    'null',
    'merge',
    'using',
    'on',
    'when',
    'matched',
    'then',
    'returning',
    '--',
    '/*',
    '*/',
  ),
  fc.string({ maxLength: 4 }),
);

export const STATEMENT_TARGETS: readonly Target[] = [
  {
    name: 'sql',
    holds: 'any text is read, is no SQL, or is too complex; effects are those there are',
    rounds: 400,
    property: () =>
      fc.property(
        fc.oneof(
          fc.array(token, { maxLength: 25 }).map((tokens) => tokens.join(' ')),
          fc
            .tuple(fc.constantFrom(...TEXTS), fc.array(edit, { maxLength: 4 }))
            .map(([text, edits]) => edited(Buffer.from(text), edits).toString('latin1')),
        ),
        (text) => void checked(text),
      ),
  },
  {
    name: 'sql-spelling',
    holds:
      'comments, blanks and the case of what is not quoted change nothing of what is said of a statement',
    rounds: 300,
    property: () =>
      fc.property(
        fc.constantFrom(...SIMPLE),
        fc.array(BETWEEN, { minLength: 1, maxLength: 8 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
        (text, between, upper) => {
          const tokens = text.match(TOKENS)?.filter((each) => each.trim() !== '') ?? [];
          const other = tokens
            .map((each, index) => {
              const same = each.startsWith("'")
                ? each
                : upper[index % upper.length]
                  ? each.toUpperCase()
                  : each.toLowerCase();
              return same + (glued(each, tokens[index + 1]) ? '' : between[index % between.length]);
            })
            .join('');
          const [one, two] = [told(classify(Buffer.from(text))), told(classify(Buffer.from(other)))];
          if (one !== two) throw new Error(`${JSON.stringify(other)}: ${two}\nand not ${one}`);
        },
      ),
  },
];

/** Signs of one operator or number stay together. */
function glued(one: string, other: string | undefined): boolean {
  return /^[^\w'\s]$/.test(one) && other !== undefined && /^[^\w'\s]$/.test(other);
}
