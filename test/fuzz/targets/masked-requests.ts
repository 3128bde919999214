/**
 * What agents send where masks hold for requests: statements with constants in all their spellings, parameters, data of COPY. What is
 * found leaves in none of them, and what stands in the place of a statement is one, whatever was done to it before.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { loadParser, parse } from '#src/protocols/postgres/parser.ts';
import { Requests, text } from '#test/support/masked-requests.ts';
import { CARDS, engineOf, mask } from '#test/support/masks.ts';
import { message, uint32 } from '#test/support/postgres-packets.ts';
import { messagesOf } from '#test/support/recorded-sessions.ts';
import { broken, cut, cuts, edit, edited, type Target } from '../target.ts';

await loadParser();

const MASKS = [
  { ...CARDS, direction: 'requests' as const },
  mask({ name: 'mail', detectors: ['email'], action: { kind: 'null' }, direction: 'requests' }),
];
const ENGINE = engineOf(MASKS);
const SECRETS = ['4111111111111111', '4111 1111 1111 1111', 'ada@lovelace.example'];
/** Alone, as it is found: what was done to a text may have made a longer number of it, or a name. */
const FOUND = SECRETS.map(
  (secret) => new RegExp(`(?<=[\\s'"$,{}():])${secret.replaceAll('.', '\\.')}(?=[\\s'"$,{}():])`),
);
const DENIED = /^sluice_denied_[0-9a-f]{24}_\d+$/;

const FIXTURE = join(import.meta.dirname, '../../fixtures/postgres/statements.txt');
/** Statements with places for a value. */
const TEXTS = readFileSync(FIXTURE, 'utf8')
  .split('\n')
  .filter((line) => /'[^']*'/.test(line) && !line.startsWith('#'))
  .map((line) =>
    line
      .slice(line.lastIndexOf(' | ') + 3)
      .replaceAll('\\n', '\n')
      .replaceAll('\\t', '\t'),
  );

/** A value in the ways it can be written. */
const SPELLINGS: readonly ((value: string) => string)[] = [
  (value) => `'${value}'`,
  (value) => `E'${value}'`,
  (value) => `E'\\x${Buffer.from(value[0] ?? '').toString('hex')}${value.slice(1)}'`,
  (value) => `U&'${value}'`,
  (value) => `U&'${value.slice(0, -1)}\\00${Buffer.from(value.at(-1) ?? '').toString('hex')}'`,
  (value) => `$$${value}$$`,
  (value) => `$a$x ${value} y$a$`,
  (value) => `'{"a": "${value}"}'::jsonb`,
  (value) => `'{${value},NULL}'`,
  (value) => `'(1,"${value}")'`,
  (value) => `'${value.slice(0, 8)}'\n  '${value.slice(8)}'`,
  (value) => `'${value}' /* ${value} */`,
  (value) => (/^\d+$/.test(value) ? value : `'${value}'`),
];

const statement = fc
  .record({
    sql: fc.constantFrom(...TEXTS),
    secret: fc.constantFrom(...SECRETS),
    spelling: fc.constantFrom(...SPELLINGS),
    edits: fc.array(edit, { maxLength: 3 }),
  })
  .map(({ sql, secret, spelling, edits }) => {
    const text = sql.replace(/'[^']*'/, () => spelling(secret));
    return edited(Buffer.from(text), edits).filter((byte) => byte !== 0);
  });

/** What gets to the server; null: an error of protocols. @throws any other */
function sent(pieces: readonly Uint8Array[]): Buffer | null {
  const requests = new Requests(ENGINE, MASKS);
  try {
    return requests.toServer(...pieces.map((piece) => Buffer.from(piece)));
  } catch (error) {
    if (error instanceof ProtocolError) return null;
    throw error;
  }
}

/** Behind its first byte a name may have dollars, which begin no string there: `a$$b` (PostgreSQL, section 4.1.1). */
const DOLLAR_NAME = /(?<![\w$\x80-\uffff])[A-Za-z_\x80-\uffff][\w\x80-\uffff]*\$[\w$\x80-\uffff]*/g;

/** Strings and comments of a text, in what they say, and the text itself but for such names. */
function saidIn(sql: Buffer): string {
  const read = parse(sql);
  // The parser has worn itself out, and another is being made.
  if (read.kind === 'too-complex') return sql.toString('utf8');
  if (read.kind !== 'statements') throw new Error(`no statement goes on: ${sql.toString('utf8')}`);
  return `${sql.toString('utf8').replaceAll(DOLLAR_NAME, 'name')}\n${JSON.stringify(read.statements)}`;
}

function checkText(sql: Buffer): void {
  if (DENIED.test(sql.toString('latin1'))) return;
  const said = saidIn(sql);
  for (const secret of FOUND)
    if (secret.test(said)) throw new Error(`the server gets ${secret.source}: ${sql.toString('utf8')}`);
}

const BIND = message(
  'B',
  text(''),
  text(''),
  Buffer.alloc(2),
  Buffer.from([0, 1]),
  uint32(16),
  Buffer.from(SECRETS[0] ?? ''),
  Buffer.alloc(2),
);
const CONVERSATIONS = [
  Buffer.concat([
    message('P', text('a'), text("select $1, '4111111111111111'"), Buffer.alloc(2)),
    BIND,
    message('E', text(''), uint32(0)),
    message('S'),
  ]),
  Buffer.concat([
    message('Q', text('copy t from stdin')),
    message('d', Buffer.from('1\tcard 4111111111111111\tada@lovelace.example\n')),
    message('d', Buffer.from('2\t41111111')),
    message('d', Buffer.from('11111111\tx\n')),
    message('c'),
  ]),
  Buffer.concat([message('Q', text("select 'ada@lovelace.example'; select 4111111111111111")), message('X')]),
];

export const REQUEST_TARGETS: readonly Target[] = [
  {
    name: 'masked-statements',
    holds:
      'a statement that parses and says nothing that is found, or a denial; the same when it is masked again',
    rounds: 300,
    property: () =>
      fc.asyncProperty(statement, cuts, async (sql, lengths) => {
        // Parsers that are worn out are replaced meanwhile.
        await setImmediate();
        const question = message('Q', sql, Buffer.alloc(1));
        const whole = sent([question]);
        if (whole === null) throw new Error('a statement ends the flow');
        const [query] = messagesOf(whole);
        if (query === undefined || query.length !== whole.length) throw new Error('not one message for one');
        const text = query.subarray(5, -1);
        checkText(text);
        const other = sent(cut(question, lengths)) ?? Buffer.alloc(0);
        // Denials have a number of their own, and are what there is while a parser is being made.
        const isDenied = [whole, other].some((bytes) => bytes.includes('sluice_denied_'));
        if (!isDenied && !other.equals(whole)) throw new Error('the server gets something else when cut');
      }),
  },
  {
    name: 'masked-requests',
    holds: 'messages without what is found in them, or the error of protocols, however the framing is broken',
    rounds: 300,
    property: () =>
      fc.property(broken(CONVERSATIONS), cuts, (stream, lengths) => {
        const whole = sent([stream]);
        const other = sent(cut(stream, lengths));
        if ((whole === null) !== (other === null)) throw new Error('an error only when cut');
        for (const { type, content } of (whole === null ? [] : messagesOf(whole)).map(partsOf))
          if (type === 'Q') checkText(content.subarray(0, -1));
      }),
  },
];

function partsOf(bytes: Buffer): { type: string; content: Buffer } {
  return { type: bytes.toString('latin1', 0, 1), content: bytes.subarray(5) };
}
