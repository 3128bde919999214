/** Keys of AWS and Azure, some of which are only known by what stands before or inside of them. */
import { type Detector, type Found, isAlnum, type Needle, type Window } from '../detector.ts';
import { bodyOf, confirmForm, type Form, KINDS, literal } from './token.ts';

const AWS_FORMS: readonly Form[] = [
  // Ids of keys, for people and for sessions; base32 since long.
  ...['AKIA', 'ASIA', 'ABIA', 'ACCA'].map(
    (prefix): Form => ({ prefix, kind: 'base32', min: 16, exact: true }),
  ),
  // Session tokens: base64 of what each of them begins with.
  ...['IQoJb3JpZ2lu', 'FwoGZXIvYXdz', 'FQoGZXIvYXdz', 'AQoDYXdz'].map(
    (prefix): Form => ({ prefix, kind: 'base64', min: 100 }),
  ),
  { prefix: 'ABSK', kind: 'base64', min: 100 },
  { prefix: 'bedrock-api-key-', kind: 'base64', min: 24 },
];

const SECRET_NAMES: readonly Needle[] = [
  { expression: 'secret_?access_?key', caseless: true },
  { expression: 'aws_?secret_?key', caseless: true },
];
const SECRET = { kind: 'base64', min: 40, exact: true } as const;
/** Between a name and its value: `": "`, ` = `, `</name><value>`. */
const GAP_MAX_BYTES = 8;

export const awsKey: Detector = {
  name: 'aws-key',
  needles: [
    ...AWS_FORMS.map(({ prefix }): Needle => ({ expression: literal(prefix), caseless: false })),
    ...SECRET_NAMES,
  ],
  before: 24,
  after: 104,
  confirm: (window, end, needle) => {
    const form = AWS_FORMS[needle];
    return form === undefined ? confirmSecret(window, end) : confirmForm(window, end, form);
  },
};

function confirmSecret(window: Window, end: number): Found | null {
  let start = end;
  while (start < end + GAP_MAX_BYTES && isGap(window.at(start))) start += 1;
  const body = start === end ? null : bodyOf(window, start, SECRET);
  return body === null ? null : { start, end: body };
}

function isGap(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f && !isAlnum(byte) && byte !== 0x2b && byte !== 0x2f;
}

const AZURE_FORMS: readonly Form[] = [
  { prefix: 'AccountKey=', kind: 'base64', min: 80, named: true },
  { prefix: 'SharedAccessKey=', kind: 'base64', min: 40, named: true },
  { prefix: '?sig=', kind: 'escaped', min: 40, named: true },
  { prefix: '&sig=', kind: 'escaped', min: 40, named: true },
];
/** Secrets of applications: three characters, a digit, these two, and 31 to 34 more. */
const CLIENT_SECRET = '[0-9]Q~';
const CLIENT_SECRET_BEFORE = 6;
const CLIENT_SECRET_BEHIND = 31;

export const azureKey: Detector = {
  name: 'azure-key',
  needles: [
    ...AZURE_FORMS.map(({ prefix }): Needle => ({ expression: literal(prefix), caseless: false })),
    { expression: CLIENT_SECRET, caseless: false },
  ],
  before: 18,
  after: 84,
  confirm: (window, end, needle) => {
    const form = AZURE_FORMS[needle];
    return form === undefined ? confirmClientSecret(window, end) : confirmForm(window, end, form);
  },
};

function confirmClientSecret(window: Window, end: number): Found | null {
  const start = end - CLIENT_SECRET_BEFORE;
  for (let i = start; i < end - 3; i += 1) if (!isClientSecret(window.at(i))) return null;
  if (isClientSecret(window.at(start - 1))) return null;
  let at = end;
  while (at < end + CLIENT_SECRET_BEHIND + 4 && isClientSecret(window.at(at))) at += 1;
  return at - end < CLIENT_SECRET_BEHIND || isClientSecret(window.at(at)) ? null : { start, end: at };
}

function isClientSecret(byte: number): boolean {
  return KINDS.dotted[byte] === true || byte === 0x7e;
}
