/** Values: what is found in a stream however it is cut, and what becomes of a value of any type. */
import fc from 'fast-check';
import { cellOf } from '#src/protocols/postgres/masking/cell.ts';
import { CARDS, mask, maskerOf } from '#test/support/masks.ts';
import { cut, cuts, type Target } from '../target.ts';

const CARD = '4111111111111111';
/** What is held back of a stream at most, and one piece. */
const BEHIND_MAX = 65_536;

const junk = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.constantFrom(
    '4111',
    '41111111',
    '-',
    ' ',
    '\n',
    '\0',
    '"',
    '\\',
    '{',
    '}',
    ',',
    'eyJ',
    '-----BEGIN',
    '@',
    '://',
    '9'.repeat(40),
  ),
);
/** A card stands between words, in one piece or in four. */
const planted = fc.constantFrom(` ${CARD} `, ' 4111 1111 1111 1111 ', ` x=${CARD};`);
const text = fc
  .array(fc.oneof({ weight: 4, arbitrary: junk }, { weight: 1, arbitrary: planted }), { maxLength: 30 })
  .map((pieces) => pieces.join(''));

const masker = maskerOf(
  CARDS,
  mask({ name: 'all', detectors: ['email', 'jwt', 'private-key', 'iban', 'aws-key'] }),
);
const PLAIN = /(?<![\w.*-])4111 ?1111 ?1111 ?1111(?![\w.*-])/;

function streamed(bytes: Buffer, lengths: readonly number[]): Buffer {
  const stream = masker.stream();
  const out: Uint8Array[] = [];
  let behind = 0;
  for (const piece of cut(bytes, lengths)) {
    behind += piece.length;
    const given = stream.push(piece);
    behind -= given.length;
    if (behind > BEHIND_MAX) throw new Error(`${behind} bytes are held back`);
    out.push(Buffer.from(given));
    piece.fill(0xff);
  }
  return Buffer.concat([...out, stream.end()]);
}

/** Types of every family: text, varchar, json, jsonb, bytea, int8, numeric, arrays, record, one of a user. */
const TYPES = [25, 1043, 114, 3802, 17, 20, 1700, 1009, 1016, 2249, 20_000, 2950, 1114] as const;

export const MASK_TARGETS: readonly Target[] = [
  {
    name: 'mask-stream',
    holds:
      'the same as long and as masked however it is cut, little held back, no card left that stands alone',
    rounds: 400,
    property: () =>
      fc.property(text, cuts, (subject, lengths) => {
        const bytes = Buffer.from(subject);
        const whole = streamed(bytes, [bytes.length + 1]);
        if (whole.length !== bytes.length) throw new Error(`${bytes.length} bytes in, ${whole.length} out`);
        for (const way of [[1], lengths])
          if (!streamed(bytes, way).equals(whole)) throw new Error(`cut by ${way} it comes out otherwise`);
        if (PLAIN.test(whole.toString('latin1'))) throw new Error('a card is left');
      }),
  },
  {
    name: 'mask-cell',
    holds:
      'a value of any type is passed, masked or NULL; of the same length where that is asked; no card left in it',
    rounds: 1_500,
    property: () =>
      fc.property(
        fc.constantFrom(...TYPES),
        fc.constantFrom(0, 1),
        fc.oneof(
          text.map((subject) => Buffer.from(subject)),
          fc.uint8Array({ maxLength: 40 }),
        ),
        (typeOid, format, given) => {
          const bytes = Buffer.from(given);
          const cell = cellOf({ typeOid, format, masker: masker.column(NO_COLUMN), onHits: () => {} });
          if (cell === null) return;
          const masked = cell.whole(Buffer.from(bytes));
          const same = cell.sameLength(Buffer.from(bytes));
          if (same !== null && same.length !== bytes.length) throw new Error('another length');
          for (const out of [masked === undefined ? bytes : masked, same])
            if (out !== null && PLAIN.test(Buffer.from(out).toString('latin1')))
              throw new Error('a card is left');
        },
      ),
  },
];
const NO_COLUMN = { schema: '', table: '', column: '', type: null } as const;
