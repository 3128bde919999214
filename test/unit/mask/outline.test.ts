import t from 'tap';
import { BatchScanner } from '#src/kernel/scanner.ts';
import { BUILT_IN } from '#src/mask/detectors/index.ts';
import { outlineOf } from '#src/mask/outline.ts';
import { type PatternNode, parsePattern } from '#src/policy/pattern.ts';
import { seededRandom } from '#test/support/splits.ts';

t.test('what stands in every match, whatever else is there', async (t) => {
  const cases: readonly (readonly [
    expression: string,
    digits: number | null,
    segments?: readonly string[],
  ])[] = [
    ['[0-9]{7}', null],
    ['[0-9]{8}', 8, ['dddddddd']],
    ['[0-9]{8,9}', 8, ['dddddddd']],
    ['[^0-9A-Za-z][0-9]{3}-[0-9]{5}[^0-9A-Za-z-]', 8, ['wdddjdddddw']],
    ['[2-6][0-9]{3}[ .][0-9]{4}', 8, ['ddddsdddd']],
    ['[0-9]{4}x[0-9]{4}', 8, ['ddddadddd']],
    ['[0-9]{4}x?[0-9]{4}', 8, ['dddd']],
    ['[0-9]{4}(?:a|b)[0-9]{4}', 8, ['ddddadddd']],
    ['[0-9]{4}(?:a|bc)[0-9]{4}', 8, ['dddd']],
    ['(?:[0-9]{9}|[0-9]{8}x)', null],
    ['x[0-9]{3}([ .-][0-9]{2}){4}', 11, ['dddsddsddsddsdd']],
    ['x[0-9]{3}([ .-][0-9]{2}){3,4}y', 9, ['dddsddsddsdd']],
    ['([0-9]{2}-){4}', 8, ['ddjddjddjddj']],
    ['[0-9.]{8}[0-9]{3}', null],
    ['[0-9]{40}', 40, ['d'.repeat(31)]],
    ['[0-9]{2}(-[0-9]{2}){0,9}[0-9]{6}', 8, ['dddddd']],
    ['[^0-9A-Za-z.][0-9]{8}[^a-z]', 8, ['vdddddddd']],
    ['[0-9]{9}\\p{L}', null],
    ['abc', null],
  ];
  for (const [expression, digits, segments = []] of cases)
    t.same(outlineOf(expression), digits === null ? null : { digits, segments }, expression);
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

t.test('whatever a needle fits is found with its outline, wherever it stands', async (t) => {
  const random = seededRandom(11);
  const below: Below = (count) => Math.floor(random() * count);
  const noise = (count: number): string =>
    Array.from({ length: count }, () => String.fromCharCode(below(256))).join('');
  let outlined = 0;
  for (const { name, needles } of BUILT_IN)
    for (const { expression } of needles) {
      const outline = outlineOf(expression);
      const parsed = parsePattern(expression, true);
      if (outline === null || !parsed.ok) continue;
      outlined += 1;
      const scanner = new BatchScanner([{ expression, caseless: false, outline }]);
      const missed = Array.from({ length: 500 }, () => {
        // Behind a text and before it there is a line feed for the needle, too.
        const drawnText = drawn(parsed.pattern.node, below);
        return noise(below(3) * below(60)) + drawnText + noise(below(3) * below(60));
      }).filter((text) => {
        const bytes = Buffer.from(text, 'latin1');
        return scanner.scan(bytes, new Uint32Array([0, bytes.length, 0]), 1, new Uint8Array([1])) === null;
      });
      t.same(missed, [], `${name} ${expression}`);
    }
  t.ok(outlined >= 7, `${outlined} have one`);
});
