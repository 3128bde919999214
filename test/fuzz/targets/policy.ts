/** Texts an operator writes: patterns of detectors, and whole policies with masks. */
import fc from 'fast-check';
import { parsePattern } from '#src/policy/pattern.ts';
import { PolicyError } from '#src/policy/problems.ts';
import { policyOf } from '#test/support/policy-text.ts';
import { edit, edited, type Target } from '../target.ts';

/** Pieces of expressions, right and wrong ones. */
const PIECE = fc.oneof(
  fc.constantFrom(
    'a',
    'EMP',
    '\\d',
    '\\w',
    '\\b',
    '\\x41',
    '\\.',
    '.',
    '[a-z]',
    '[^,]',
    '[',
    ']',
    '(',
    ')',
    '(?:',
    '|',
    '?',
    '*',
    '+',
    '^',
    '$',
    '\\',
    '{3}',
    '{2,4}',
    '{',
    '}',
    '{0,}',
    '{99999}',
    '-',
    'é',
    '\\1',
    '(?=a)',
  ),
  fc.string({ maxLength: 3 }),
);
const pattern = fc.array(PIECE, { maxLength: 12 }).map((pieces) => pieces.join(''));

/** What JavaScript makes of the same text, where it is one of its expressions too. */
function matches(text: string, subject: string): boolean | null {
  try {
    return new RegExp(text, 's').test(subject);
  } catch {
    return null;
  }
}

const POLICY = `agents: [{name: web, match: [{uid: 1}, {run: web}, {unit: "a@*.service"}]}]
destinations:
  - {name: db, cidrs: [10.0.0.1, "2001:db8::/32"], ports: [5432, "6000-6010"], protocol: postgres, tls: {server_name: db.test}}
detectors:
  - {name: staff, pattern: '\\bEMP-\\d{6}\\b'}
  - {name: projects, words: [Red Heron, Blue Otter], case_sensitive: true}
masks:
  - {name: cards, destinations: [db], detect: [cards, staff], action: partial, keep_last: 4}
  - {name: people, agents: [web], destinations: [db], columns: [hr.people.name, "*_email"], types: [text, int4], effect: observe}
operations:
  - {name: no, destinations: [db], effects: [code], relations_other_than: [a, "b.*"], columns: [c.d], action: deny, reason: x}
`;

export const POLICY_TARGETS: readonly Target[] = [
  {
    name: 'pattern',
    holds:
      'a pattern of bounded length, or what is wrong with it in words; none that JavaScript would refuse',
    rounds: 2_000,
    property: () =>
      fc.property(pattern, fc.boolean(), (text, caseSensitive) => {
        const result = parsePattern(text, caseSensitive);
        if (!result.ok) {
          if (result.message === '') throw new Error('refused without a word');
        } else if (matches(text, '') === null) {
          throw new Error('read here, and no expression to JavaScript');
        } else if (matches(text, '') === true) {
          throw new Error('it matches nothing at all');
        }
      }),
  },
  {
    name: 'policy',
    holds: 'a policy, or errors that say what is wrong',
    rounds: 150,
    property: () =>
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), pattern, (edits, other) => {
        for (const text of [
          edited(Buffer.from(POLICY), edits).toString('utf8'),
          POLICY.replace('\\bEMP-\\d{6}\\b', other.replaceAll("'", "''")),
        ]) {
          try {
            policyOf(text);
          } catch (error) {
            if (!(error instanceof PolicyError)) throw error;
            if (error.problems.length === 0) throw new Error('refused without a problem');
          }
        }
      }),
  },
];
