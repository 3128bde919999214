/** Named cases of statements with values in them: test/fixtures/postgres/masked-statements.txt. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { MaskEngine } from '#src/mask/engine.ts';
import type { CompiledMask } from '#src/policy/types.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { Requests, text } from '#test/support/masked-requests.ts';
import { CARDS, mask, SSN } from '#test/support/masks.ts';
import { message } from '#test/support/postgres-packets.ts';
import { splitsOf, wipe } from '#test/support/splits.ts';

await loadParser();
const of = (change: Partial<CompiledMask>): CompiledMask =>
  mask({ detectors: ['card'], ...change, direction: 'both' });
const MASKS: Readonly<Record<string, CompiledMask>> = {
  cards: of(CARDS),
  ssn: of({ ...SSN, strict: true }),
  loose: of(SSN),
  hash: of({ action: { kind: 'hash', key: 'k' } }),
  null: of({ action: { kind: 'null' } }),
  drop: of({ action: { kind: 'drop' } }),
  watch: of({ effect: 'observe' }),
  tokens: of({ detectors: ['staff'] }),
  word: of({ detectors: ['bird'] }),
};
const all = Object.values(MASKS);
const engine = new MaskEngine({
  masks: all,
  detectors: [
    { name: 'staff', pattern: '\\bEMP-\\d{6}\\b', words: [], caseSensitive: true },
    { name: 'bird', pattern: null, words: ['falcon'], caseSensitive: true },
  ],
  maskKeys: [{ name: 'k', secret: 'only for tests, and long enough' }],
});
const masksOf = (name: string): CompiledMask[] => {
  const found = MASKS[name];
  if (found === undefined) throw new Error(`no masks ${name}`);
  return [found];
};
const hashOf = (value: string): string => engine.keys.text('k', Buffer.from(value));

const query = (sql: string): Buffer => message('Q', text(sql));
const parse = (sql: string): Buffer => message('P', text('s'), text(sql), Buffer.alloc(2));

const file = join(import.meta.dirname, '../../../../../fixtures/postgres/masked-statements.txt');
const cases = readFileSync(file, 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [name = '', masks = '', came = '', ...rest] = line.split(/ \|(?: |$)/);
    const sql = came.replaceAll('⏎', '\n');
    const gone = rest.join(' | ').replace(/\{hash:(.*?)\}/g, (_, value: string) => hashOf(value));
    return { name, masks, sql, gone: gone === '=' ? sql : gone };
  });

t.test('cases have names of their own', async (t) => {
  t.equal(new Set(cases.map(({ name }) => name)).size, cases.length);
  t.ok(cases.length >= 60);
});

for (const { name, masks, sql, gone } of cases) {
  t.test(name, async (t) => {
    for (const make of [query, parse]) {
      const bytes = make(sql);
      for (const split of splitsOf(bytes, 3)) {
        const requests = new Requests(engine, masksOf(masks));
        const out = split.chunks.map((chunk) => {
          const part = requests.toServer(chunk);
          wipe(chunk);
          return part;
        });
        const sent = Buffer.concat(out);
        if (gone !== 'DENIED') t.equal(sent.toString(), make(gone).toString(), split.name);
        else t.match(sent.toString('latin1'), /^[PQ].{4}\0?sluice_denied_\w+\0/s, split.name);
        if (gone === sql) t.equal(requests.masked, 0);
        else if (gone !== 'DENIED') t.ok(requests.masked > 0);
      }
    }
  });
}
