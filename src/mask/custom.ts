/** Detectors that a policy declares: patterns of bounded length, and words. */
import { type ByteSet, type PatternNode, parsePattern } from '../policy/pattern.ts';
import type { CompiledDetector } from '../policy/types.ts';
import { type Detector, isAlnum, type Window } from './detector.ts';
import { ReversePattern } from './reverse-pattern.ts';

export function customDetector(source: CompiledDetector): Detector {
  return source.pattern === null ? wordDetector(source) : patternDetector(source, source.pattern);
}

/** A pattern is found by its ends; where a match that ends there begins is looked for backwards. */
function patternDetector({ name, caseSensitive }: CompiledDetector, text: string): Detector {
  const parsed = parsePattern(text, caseSensitive);
  if (!parsed.ok) throw new TypeError('a pattern that was never checked');
  const { pattern } = parsed;
  const reverse = new ReversePattern(pattern.node);
  return {
    name,
    needles: [{ expression: expressionOf(pattern.node), caseless: false }],
    before: pattern.maxBytes + 1,
    after: 1,
    confirm: (window, end, _, last) => {
      if (pattern.wordEnd && splitsWord(window, end)) return null;
      // Nothing that ends here can begin before what was found last, so that this only becomes longer.
      const goesOn =
        last !== null && last.start <= end - pattern.maxBytes && last.end > end - pattern.minBytes;
      if (goesOn && !pattern.wordStart) return { start: Math.min(last.end, end) - 1, end };
      const start = reverse.startOf(window, end, (at) => !pattern.wordStart || !splitsWord(window, at));
      return start === null ? null : { start, end };
    },
  };
}

/** Words are found wherever they stand for themselves. */
function wordDetector({ name, words, caseSensitive }: CompiledDetector): Detector {
  const bytes = words.map((word) => Buffer.from(word, 'utf8'));
  const longest = Math.max(...bytes.map(({ length }) => length));
  return {
    name,
    needles: bytes.map((word) => ({
      expression: [...word].map(escaped).join(''),
      caseless: !caseSensitive,
    })),
    before: longest + 1,
    after: 1,
    confirm: (window, end, needle) => {
      const start = end - (bytes[needle]?.length ?? 0);
      return splitsWord(window, start) || splitsWord(window, end) ? null : { start, end };
    },
  };
}

/** Whether letters, digits or underscores stand on both sides of a place. */
function splitsWord(window: Window, at: number): boolean {
  return isWord(window.at(at - 1)) && isWord(window.at(at));
}

function isWord(byte: number): boolean {
  return isAlnum(byte) || byte === 0x5f || byte >= 0x80;
}

function escaped(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}

function expressionOf(node: PatternNode): string {
  switch (node.kind) {
    case 'set':
      return classOf(node.set);
    case 'sequence':
      return node.parts.map(expressionOf).join('');
    case 'choice':
      return `(?:${node.parts.map(expressionOf).join('|')})`;
    case 'repeat':
      return `(?:${expressionOf(node.part)}){${node.min},${node.max}}`;
  }
}

function classOf(set: ByteSet): string {
  let ranges = '';
  for (let first = 0; first < set.length; first += 1) {
    if (set[first] !== true) continue;
    let last = first;
    while (set[last + 1] === true) last += 1;
    ranges += last === first ? escaped(first) : `${escaped(first)}-${escaped(last)}`;
    first = last;
  }
  return `[${ranges}]`;
}
