/**
 * The work that masking takes, counted and not timed: bytes scanned are those that come, once; what remains is what the scanner
 * tells of and what confirming it looks at. Both must grow as the text does, whatever is in it.
 */
import t from 'tap';
import type { Place } from '#src/mask/detector.ts';
import { MaskEngine } from '#src/mask/engine.ts';
import { DETECTORS } from '#src/policy/detectors.ts';
import { policyOf } from '#test/support/policy-text.ts';

const policy = policyOf(`
destinations: [{name: db, cidrs: [10.0.0.1], ports: [5432], protocol: postgres}]
detectors:
  - {name: dense, pattern: '[a-z0-9]{8,64}'}
  - {name: ways, pattern: '(?:a|aa|aaa){3,40}b?'}
  - {name: words, words: [aaa, aaaa, aaaaa, ab ab]}
masks: [{name: m, destinations: [db], detect: [all, dense, ways, words]}]`);
const engine = new MaskEngine(policy);

/** Bytes whose reading is counted. */
function counted(bytes: Buffer): { readonly proxy: Uint8Array; reads(): number } {
  let reads = 0;
  const proxy = new Proxy(bytes as Uint8Array, {
    get: (target, key) => {
      if (typeof key === 'string' && /^\d/.test(key)) {
        reads += 1;
        return target[Number(key)];
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { proxy, reads: () => reads };
}

function workOn(unit: string, length: number): { told: number; reads: number } {
  const bytes = Buffer.from(unit.repeat(Math.ceil(length / unit.length)).slice(0, length), 'latin1');
  const { proxy, reads } = counted(bytes);
  const found = engine.scanner.scan(bytes, Uint32Array.of(0, length, 0), 1, Uint8Array.of(1)) ?? [];
  const last = new Map<number, Place>();
  for (let i = 0; i < found.length; i += 3) {
    const [needle, end] = [found[i + 1] ?? 0, found[i + 2] ?? 0];
    const detector = engine.detectorOf(needle);
    const place = engine.confirm(proxy, 0, length, needle, end, last.get(detector) ?? null);
    if (place === null) continue;
    const before = last.get(detector);
    const touches = before !== undefined && place.start < before.end;
    last.set(detector, { start: touches ? before.start : place.start, end: place.end });
  }
  return { told: found.length / 3, reads: reads() };
}

const HOSTILE = [
  'a',
  '4',
  '4 ',
  '4-',
  '4111 1111 1111 111',
  '4111 1111 1111 1111 ',
  '1-',
  '123-45-6789 ',
  '123-45-',
  'ssn ',
  'ssn 123 ',
  'social_security',
  'a@',
  '@',
  'a.',
  'a@a.aa',
  'aaaaaaaa@a.',
  '.',
  'DE89',
  'DE89 3704 0044 ',
  'AB12',
  '+1',
  '+1 2 3 4 ',
  '+44 (0)',
  '212-555-',
  '01 02 03 ',
  '020 7946 ',
  'phone ',
  'phone: 1',
  '1.1.1.1',
  '1.',
  '255.255.',
  'a:',
  '::',
  'ab::',
  '1:2:3:4:',
  'eyJ',
  'eyJhbGciOiJIUzI1NiJ9.',
  '.eyJhbGciOiJIUzI1NiJ9',
  '-----BEGIN PRIVATE KEY-----',
  'PRIVATE KEY-----',
  '-----',
  'A PRIVATE KEY-----',
  '://a:',
  '://a:b@',
  'a:b@c',
  'x@$',
  'ghp_',
  'ghp_aaaaaaaaaaaaaaaa',
  'AKIA',
  'AKIAABCDEFGH',
  'secret_access_key',
  'secret_access_key=',
  'AccountKey=',
  '1Q~',
  'aaa1Q~aaaa',
  'SG.',
  'key-',
  'xoxb-',
  'AIza',
  'ab',
  'aab',
  'aaaa ',
  '\n',
  '\0',
  '\xff',
  '\xff@',
  '0',
  ' ',
];

t.test('work grows as the text does', async (t) => {
  const length = 2_048;
  let most = { told: 0, reads: 0 };
  for (const unit of HOSTILE) {
    const once = workOn(unit, length);
    const twice = workOn(unit, 2 * length);
    const name = JSON.stringify(unit);
    t.ok(twice.told <= 2 * once.told + 64, `${name}: ${once.told} needles, then ${twice.told}`);
    t.ok(
      twice.reads <= 2.05 * once.reads + 8_192,
      `${name}: ${once.reads} bytes looked at, then ${twice.reads}`,
    );
    most = {
      told: Math.max(most.told, once.told / length),
      reads: Math.max(most.reads, once.reads / length),
    };
  }
  t.ok(most.told <= 8, `at most ${most.told.toFixed(2)} needles for each byte`);
  t.ok(most.reads <= 64, `at most ${most.reads.toFixed(1)} bytes looked at for each byte`);
});

t.test('what a detector may look at is bounded', async (t) => {
  for (const { name, before, after } of engine.detectors) {
    t.ok(before <= 256 && after <= 1_100, `${name}: ${before} before, ${after} behind`);
  }
  t.equal(engine.detectors.length, DETECTORS.length + 3);
});

t.test('what policy allows at most can be compiled', async (t) => {
  const shapes = [
    '[a-z0-9]{8,240}',
    '(?:[a-z]{1,4}-){1,50}[0-9]',
    '(?:a|ab|abc|abcd){3,25}',
    '[^x]{3,240}',
    '.{3,240}z',
  ];
  const patterns = Array.from(
    { length: 63 },
    (_, i) => `  - {name: d${i}, pattern: '${shapes[i % shapes.length]}${i}'}\n`,
  );
  const words = Array.from({ length: 10_000 }, (_, i) => `word ${i * 7919} of many`);
  const names = [...patterns.map((_, i) => `d${i}`), 'w'];
  const largest = policyOf(`
destinations: [{name: db, cidrs: [10.0.0.1], ports: [5432], protocol: postgres}]
detectors:
${patterns.join('')}  - {name: w, words: [${words.join(', ')}]}
masks: [{name: m, destinations: [db], detect: [all, ${names.join(', ')}]}]`);
  const whole = new MaskEngine(largest);
  const text = Buffer.from('see word 791900 of many here');
  const found = whole.scanner.scan(text, Uint32Array.of(0, text.length, 0), 1, Uint8Array.of(1)) ?? [];
  const told = Array.from({ length: found.length / 3 }, (_, i) => whole.detectorOf(found[3 * i + 1] ?? 0));
  t.ok(told.includes(whole.indexOf('w')));
});
