/** Named cases of masking: test/fixtures/mask/cases.txt. Each as a value, as a cell among others, and where it can be as a stream. */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { MaskEngine } from '#src/mask/engine.ts';
import { makeMasker } from '#src/mask/mask-set.ts';
import type { ValueMasker } from '#src/mask/masker.ts';
import { policyOf } from '#test/support/policy-text.ts';

const SECRET = '3f9c1d7be2a84560c9d1e7f3a5b28460';
const BASE = `destinations: [{name: db, cidrs: [10.0.0.1], ports: [5432], protocol: postgres}]
mask_keys: [{name: k1, file: a.key}]
detectors:
  - {name: staff, pattern: '\\bEMP-\\d{6}\\b'}
  - {name: ticket, pattern: '(?:INC|REQ)[0-9]{4,8}'}
  - {name: people, words: [Ada Byron, Red Heron, Grüße]}
  - {name: exact, words: [Falcon], case_sensitive: true}
masks:
`;
const COLUMN = { schema: 'public', table: 't', column: 'note', type: 'text' };

interface Case {
  readonly name: string;
  readonly masks: string;
  readonly comes: Buffer;
  /** Null: no value is left. */
  readonly goes: Buffer | null;
}

function bytesOf(text: string): Buffer {
  const escaped = Buffer.from(text).toString('latin1');
  const plain = escaped.replace(/\\(n|t|x[0-9a-f]{2})/g, (_, what: string) =>
    what === 'n' ? '\n' : what === 't' ? '\t' : String.fromCharCode(Number.parseInt(what.slice(1), 16)),
  );
  return Buffer.from(plain, 'latin1');
}

/** RFC 4648, in another way than the one that is tested. */
function hashOf(text: string): string {
  const digest = createHmac('sha256', SECRET).update(text).digest();
  const bits = [...digest].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const digits = Array.from({ length: 26 }, (_, i) => Number.parseInt(bits.slice(5 * i, 5 * i + 5), 2));
  return `k1_${digits.map((digit) => 'abcdefghijklmnopqrstuvwxyz234567'[digit]).join('')}`;
}

function readCases(): Case[] {
  const file = readFileSync(new URL('../../fixtures/mask/cases.txt', import.meta.url), 'utf8');
  let masks = '';
  return file.split('\n').flatMap((line): Case[] => {
    if (line === '' || line.startsWith('#')) return [];
    if (line.startsWith('[')) {
      masks = line.slice(1, -1);
      return [];
    }
    const [, name, comes = '', goes = ''] = /^([a-z0-9-]+): ?(.*?) ?=>(?: (.*))?$/.exec(line) ?? [];
    if (name === undefined) throw new Error(`no case: ${line}`);
    const before = bytesOf(comes);
    const after = goes.replace(/\{hash:([^}]*)\}/g, (_, text: string) => hashOf(text));
    return [
      {
        name,
        masks,
        comes: before,
        goes: goes === '<same>' ? before : goes === '<null>' ? null : bytesOf(after),
      },
    ];
  });
}

const cases = readCases();
const maskers = new Map<
  string,
  { readonly column: ValueMasker | null; readonly cells: (text: Buffer) => Buffer | null }
>();

function maskerOf(masks: string) {
  const made = maskers.get(masks);
  if (made !== undefined) return made;
  const lines = masks.split(' | ').map((text, i) => `  - {name: m${i}, destinations: [db], ${text}}\n`);
  const policy = policyOf(`${BASE}${lines.join('')}`, { readFile: () => SECRET });
  const masker = makeMasker(new MaskEngine(policy), policy.masks, 'responses');
  if (masker === null) throw new Error('nothing to mask');
  const column = masker.column(COLUMN);
  const cells = (text: Buffer): Buffer | null => {
    const all = Buffer.concat([Buffer.from('4111111111111111x'), text, Buffer.from('9')]);
    const places = Uint32Array.of(0, 17, 1, 17, 17 + text.length, 0, 17 + text.length, all.length, 1);
    const [masked, ...more] = masker.cells(all, places, 3, [column, null]);
    if (more.length > 0 || (masked !== undefined && masked.cell !== 1))
      throw new Error('another cell was masked');
    return masked === undefined ? text : masked.bytes === null ? null : Buffer.from(masked.bytes);
  };
  maskers.set(masks, { column, cells });
  return { column, cells };
}

t.test('named cases', async (t) => {
  t.ok(cases.length >= 100, `${cases.length} of them`);
  t.equal(new Set(cases.map(({ name }) => name)).size, cases.length, 'each with a name of its own');
  for (const { name, masks, comes, goes } of cases) {
    const { column, cells } = maskerOf(masks);
    const masked = column?.value(comes) ?? null;
    const value = masked === null ? comes : masked.bytes === null ? null : Buffer.from(masked.bytes);
    t.strictSame(value?.toString('latin1'), goes?.toString('latin1'), name);
    t.strictSame(cells(comes)?.toString('latin1'), goes?.toString('latin1'), `${name}, among other cells`);
  }
});

t.test('where lengths stay, a stream does the same', async (t) => {
  for (const { name, masks, comes, goes } of cases) {
    if (goes?.length !== comes.length || /hash|drop|null/.test(masks) || masks.startsWith('columns'))
      continue;
    const stream = maskerOf(masks).column?.stream();
    if (stream === undefined) continue;
    const out = Buffer.concat([stream.push(comes), stream.end()]);
    t.equal(out.toString('latin1'), goes.toString('latin1'), name);
  }
});
