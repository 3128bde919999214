import t from 'tap';
import { BUILT_IN } from '#src/mask/detectors/index.ts';
import { digitsInRun } from '#src/mask/digit-run.ts';
import { type PatternNode, parsePattern } from '#src/policy/pattern.ts';
import { seededRandom } from '#test/support/splits.ts';

t.test('digits that stand together whatever else is there', async (t) => {
  const cases: readonly (readonly [expression: string, digits: number])[] = [
    ['[0-9]{4}', 4],
    ['[0-9]{4,9}', 4],
    ['[2-6][0-9]{3}[ -][0-9]{4}', 8],
    ['[0-9]{3}x[0-9]{4}', 4],
    ['[0-9]{3}[ x][0-9]{4}', 4],
    ['[0-9]{3} ?[0-9]{4}', 7],
    ['[0-9]{3}x?[0-9]{4}', 4],
    ['[0-9]{3}([ .-][0-9]{2}){4}', 11],
    ['[0-9]{3}(x[0-9]{2}){4}', 3],
    ['(?:[0-9]{3}|[0-9]{9})[0-9]{2}', 5],
    ['(?:[0-9]{3}x|y[0-9]{9})[0-9]{2}', 3],
    ['(?:[0-9]{3}|abc)', 0],
    ['([0-9]{3}){2,5}', 6],
    ['[0-9a]{8}', 0],
    ['[ -9]{8}', 0],
    ['[^0-9][0-9]{8}', 8],
    ['[0-9]{0,8}abc', 0],
    ['abc', 0],
    ['[0-9]+', 0],
    ['[0-9]{9}\\p{L}', 0],
  ];
  for (const [expression, digits] of cases) t.equal(digitsInRun(expression), digits, expression);
});

type Below = (count: number) => number;

/** Any text the pattern fits. */
function drawn(node: PatternNode, below: Below): string {
  switch (node.kind) {
    case 'set': {
      const bytes = [...node.set.keys()].filter((byte) => node.set[byte] === true);
      return String.fromCharCode(bytes[below(bytes.length)] ?? 0);
    }
    case 'sequence':
      return node.parts.map((part) => drawn(part, below)).join('');
    case 'choice':
      return drawn(node.parts[below(node.parts.length)] ?? { kind: 'sequence', parts: [] }, below);
    case 'repeat': {
      const count = node.min + below(node.max - node.min + 1);
      return Array.from({ length: count }, () => drawn(node.part, below)).join('');
    }
  }
}

t.test('whatever a needle fits has as many as are said of it', async (t) => {
  const random = seededRandom(11);
  const below: Below = (count) => Math.floor(random() * count);
  for (const { name, needles } of BUILT_IN)
    for (const { expression } of needles) {
      const digits = digitsInRun(expression);
      const parsed = parsePattern(expression, true);
      if (digits === 0 || !parsed.ok) continue;
      const texts = Array.from({ length: 200 }, () => drawn(parsed.pattern.node, below));
      const least = Math.min(
        ...texts.map((text) =>
          Math.max(...text.split(/[^ -9]/).map((run) => run.replaceAll(/\D/g, '').length)),
        ),
      );
      t.ok(least >= digits, `${name} ${expression}: ${digits}`);
    }
});
