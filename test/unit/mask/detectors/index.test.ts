/**
 * What detectors find and what they leave alone, measured on the labelled corpus. Each has a floor: a change that lets one fall
 * below it fails, whatever it was made for.
 */
import t from 'tap';
import { MaskEngine } from '#src/mask/engine.ts';
import { Finder } from '#src/mask/finder.ts';
import { DETECTORS } from '#src/policy/detectors.ts';
import { Drawer, filled, type LabelledText, readCorpus } from '#test/support/mask-corpus.ts';
import { policyOf } from '#test/support/policy-text.ts';

const policy = policyOf(`
destinations: [{name: db, cidrs: [10.0.0.1], ports: [5432], protocol: postgres}]
masks: [{name: m, destinations: [db], detect: [all]}]`);
const engine = new MaskEngine(policy);
const everything = {
  whole: null,
  wholeHits: [],
  searching: true,
  treatments: engine.detectors.map(() => [
    { rule: 'm', action: { kind: 'redact' } as const, observed: false },
  ]),
};
/** Each line once for every seed. */
const SEEDS = [1, 2, 3, 4, 5];
/** What is found must be all that is marked, and no more. What falls short of it is listed in the fixtures. */
const FLOOR = { precision: 0.98, recall: 0.98 };

interface Count {
  right: number;
  missed: number;
  wrong: number;
}

function spansOf(text: Buffer): { detector: string; start: number; end: number }[] {
  const finder = new Finder(engine, everything, text, 0, text.length);
  const found = engine.scanner.scan(text, Uint32Array.of(0, text.length, 0), 1, Uint8Array.of(1)) ?? [];
  for (let i = 0; i < found.length; i += 3) finder.needle(found[i + 1] ?? 0, found[i + 2] ?? 0);
  return finder.finish().map(({ detector, start, end }) => ({
    detector: engine.detectors[detector]?.name ?? '',
    start,
    end,
  }));
}

const counts = new Map(DETECTORS.map((name): [string, Count] => [name, { right: 0, missed: 0, wrong: 0 }]));
const mistakes: string[] = [];

function judge(labelled: LabelledText): void {
  const { detector, line, text, marks } = labelled;
  const own = counts.get(detector);
  if (own === undefined) throw new Error(`there is no detector ${detector}`);
  const spans = spansOf(text);
  for (const [start, end] of marks) {
    const isFound = spans.some(
      (span) => span.detector === detector && span.start === start && span.end === end,
    );
    if (isFound) own.right += 1;
    else {
      own.missed += 1;
      mistakes.push(`${detector}.txt:${line}: missed`);
    }
  }
  for (const span of spans) {
    const isMarked = marks.some(([start, end]) => span.start < end && span.end > start);
    const count = counts.get(span.detector);
    if (isMarked || count === undefined) continue;
    count.wrong += 1;
    mistakes.push(`${detector}.txt:${line}: ${span.detector} finds ${span.start} to ${span.end}`);
  }
}

t.test('precision and recall of each detector', async (t) => {
  for (const seed of SEEDS) for (const labelled of readCorpus(seed)) judge(labelled);
  for (const mistake of new Set(mistakes)) t.comment(mistake);
  for (const [name, { right, missed, wrong }] of counts) {
    const precision = right / (right + wrong);
    const recall = right / (right + missed);
    const measured = `precision ${precision.toFixed(3)}, recall ${recall.toFixed(3)} of ${right + missed}`;
    t.ok(precision >= FLOOR.precision && recall >= FLOOR.recall, `${name}: ${measured}`);
  }
});

t.test('values that look like something by chance', async (t) => {
  const drawer = new Drawer(9);
  const found = (line: string, count = 2_000): number => {
    const texts = Array.from({ length: count }, () => Buffer.from(filled(line, drawer)));
    return texts.filter((text) => spansOf(text).length > 0).length / count;
  };
  const hex = '{hex:8}-{hex:4}-4{hex:3}-a{hex:3}-{hex:12}';
  for (const [name, line, most] of [
    ['identifiers', '{d:9} 7{d:18} {hex:24}', 0],
    ['UUIDs', hex, 0],
    ['digests', '{hex:32} {hex:40} {hex:64}', 0],
    ['times', '2026-01-{d:2} 12:{d:2}:{d:2}.{d:6}+02 17{d:8} 17{d:11}', 0],
    ['numbers', '{d:1}.{d:16} -{d:3}.{d:15} {d:4}.{d:2} {d:6}.{d:4}', 0],
    ['base64', '{b64:200}==', 0.001],
    ['words', '{lower:5} {lower:7} {lower:3}, {lower:9}. {upper:4}-{d:5}', 0],
    // One in ten has the right check digit, and a third begins as cards do.
    ['numbers of 16 digits', '{d:16}', 0.06],
  ] as const) {
    const share = found(line);
    t.ok(share <= most, `${name}: ${(share * 100).toFixed(2)} % of them`);
  }
});
