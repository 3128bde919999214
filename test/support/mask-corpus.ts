/** Reads the labelled corpus of test/fixtures/mask: its README says how lines are written. */
import { readdirSync, readFileSync } from 'node:fs';
import { seededRandom } from './splits.ts';

const DIRECTORY = new URL('../fixtures/mask/corpus/', import.meta.url);

export interface LabelledText {
  /** Whose file it is in, and on which line. */
  readonly detector: string;
  readonly line: number;
  readonly text: Buffer;
  /** What of it is to be found by the detector: start and end. */
  readonly marks: readonly (readonly [number, number])[];
}

export function readCorpus(seed = 1): LabelledText[] {
  return readdirSync(DIRECTORY)
    .sort()
    .flatMap((name) =>
      readLabelled(name.replace('.txt', ''), readFileSync(new URL(name, DIRECTORY), 'utf8'), seed),
    );
}

function readLabelled(detector: string, file: string, seed: number): LabelledText[] {
  const drawer = new Drawer(seed);
  return file.split('\n').flatMap((line, i) => {
    if (line === '' || line.startsWith('#')) return [];
    const [, sign, rest = ''] = /^([+-]) (.*)$/.exec(line) ?? [];
    if (sign === undefined) throw new Error(`${detector}.txt:${i + 1}: neither + nor -`);
    const { text, marks } = marked(filled(rest, drawer));
    if ((sign === '+') !== marks.length > 0)
      throw new Error(`${detector}.txt:${i + 1}: marks and sign differ`);
    return [{ detector, line: i + 1, text, marks }];
  });
}

function marked(line: string): Pick<LabelledText, 'text' | 'marks'> {
  const marks: [number, number][] = [];
  let text = '';
  for (const [, plain = '', found] of line.matchAll(/([^⟦]*)(?:⟦([^⟧]*)⟧)?/g)) {
    text += plain;
    if (found === undefined) continue;
    const start = Buffer.byteLength(text);
    text += found;
    marks.push([start, Buffer.byteLength(text)]);
  }
  return { text: Buffer.from(text), marks };
}

/** `{alnum:36}` and the like replaced by what is drawn for them. */
export function filled(line: string, drawer: Drawer): string {
  return line
    .replaceAll('\\n', '\n')
    .replace(
      /\{([a-z0-9]+)(?::([^{}:]*))?(?::(\d+))?\}/g,
      (whole, kind: string, a = '', b = '') => drawer.draw(kind, a, b) ?? whole,
    );
}

const ALPHABETS: Readonly<Record<string, string>> = {
  d: '0123456789',
  hex: '0123456789abcdef',
  lower: 'abcdefghijklmnopqrstuvwxyz',
  upper: 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
  base32: 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567',
};
const ALNUM = `${ALPHABETS['upper']}${ALPHABETS['lower']}0123456789`;

export class Drawer {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** Undefined for a kind there is not. */
  draw(kind: string, a: string, b: string): string | undefined {
    switch (kind) {
      case 'alnum':
        return this.#of(ALNUM, Number(a));
      case 'word':
      case 'b64url':
        // Neither begins nor ends with a sign, at which a text could be cut.
        return `${this.#of(ALNUM, 1)}${this.#of(`${ALNUM}-_`, Number(a) - 2)}${this.#of(ALNUM, 1)}`;
      case 'b64':
        return `${this.#of(ALNUM, 1)}${this.#of(`${ALNUM}+/`, Number(a) - 2)}${this.#of(ALNUM, 1)}`;
      case 'luhn':
        return this.#luhn(a, Number(b));
      case 'iban':
        return this.#iban(a, Number(b));
      case 'jwt':
        return `${base64Url(`{"alg":"${a || 'HS256'}","typ":"JWT"}`)}.${base64Url('{"sub":"1","admin":true}')}.${this.draw('b64url', '43', '')}`;
      case 'jwe':
        return [base64Url('{"alg":"RSA-OAEP","enc":"A256GCM"}'), 342, 16, 80, 22]
          .map((part) => (typeof part === 'string' ? part : this.draw('b64url', String(part), '')))
          .join('.');
      case 'b64json':
        return base64Url('{"name":"x","value":[1,2,3],"other":"y"}');
      case 'pem':
        return this.#pem(a, '\n');
      case 'pemjson':
        return this.#pem(a, '\\n');
      default:
        return ALPHABETS[kind] === undefined ? undefined : this.#of(ALPHABETS[kind], Number(a));
    }
  }

  #of(alphabet: string, count: number): string {
    return Array.from({ length: count }, () => alphabet[Math.floor(this.#random() * alphabet.length)]).join(
      '',
    );
  }

  #luhn(prefix: string, length: number): string {
    const body = prefix + this.#of('0123456789', length - prefix.length - 1);
    const sum = [...body].reverse().reduce((total, char, i) => {
      const value = Number(char) * (i % 2 === 0 ? 2 : 1);
      return total + (value > 9 ? value - 9 : value);
    }, 0);
    return `${body}${(10 - (sum % 10)) % 10}`;
  }

  #iban(country: string, length: number): string {
    const body = this.#of('0123456789', length);
    const digits = [...`${body}${country}00`].map((char) => Number.parseInt(char, 36)).join('');
    const check = 98n - (BigInt(digits) % 97n);
    return `${country}${String(check).padStart(2, '0')}${body}`;
  }

  #pem(kind: string, lineFeed: string): string {
    const lines = Array.from({ length: 12 }, () => this.draw('b64', '64', ''));
    return [`-----BEGIN ${kind}-----`, ...lines, `-----END ${kind}-----`].join(lineFeed);
  }
}

function base64Url(text: string): string {
  return Buffer.from(text).toString('base64url');
}
