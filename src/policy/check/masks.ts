/**
 * Checks masks, the detectors they use and the keys they hash with: that names exist, patterns can be searched in linear
 * time, keys are worth the name, and no key of a mask is without effect.
 */
import { DETECTOR_GROUPS, DETECTORS } from '../detectors.ts';
import type { DetectorEntry, MaskEntry } from '../document.ts';
import type { PolicyFiles } from '../files.ts';
import { readMaskKey } from '../mask-key.ts';
import { unknownHint } from '../nearest.ts';
import { parsePattern } from '../pattern.ts';
import { type Cursor, checkUniqueNames } from './cursor.ts';
import { checkReadDestinations } from './operations.ts';
import { checkReferences, namesOf } from './rules.ts';

const BUILT_IN: readonly string[] = [...DETECTORS, ...Object.keys(DETECTOR_GROUPS)];

/** All words of a policy together: they become one table in each worker. */
const WORDS_MAX = 10_000;
const WORD_MIN_BYTES = 3;
const WORD_MAX_BYTES = 128;

export function checkMasks(root: Cursor, files: PolicyFiles): void {
  const detectors = root.get('detectors');
  const keys = root.get('mask_keys');
  const masks = root.get('masks');
  checkDetectors(detectors);
  checkKeys(keys, files);
  checkUniqueNames(masks, 'mask');
  const known = [...BUILT_IN, ...namesOf(detectors)];
  for (const mask of masks.items()) {
    checkReadDestinations(root, mask, 'values', 'a mask');
    checkReferences(mask.get('detect'), known, 'detector');
    checkAction(mask, namesOf(keys));
    for (const type of mask.get('types').items()) checkType(type);
    if (mask.clean) checkWhole(mask);
  }
}

function checkDetectors(detectors: Cursor): void {
  checkUniqueNames(detectors, 'detector');
  let words = 0;
  for (const detector of detectors.items()) {
    const name = detector.get('name');
    if (name.text !== null && BUILT_IN.includes(name.text))
      name.error(`"${name.text}" is built in`, 'give it another name');
    checkPattern(detector);
    if (detector.clean && detector.get('pattern').present === detector.get('words').present)
      detector.error('a detector has either `pattern` or `words`', 'make two detectors of it');
    words += detector.get('words').items().length;
    for (const word of detector.get('words').items()) checkWord(word);
  }
  if (words > WORDS_MAX) detectors.error(`there are ${words} words, and ${WORDS_MAX} are possible in all`);
}

function checkPattern(detector: Cursor): void {
  const pattern = detector.get('pattern');
  if (pattern.text === null) return;
  const result = parsePattern(pattern.text, (detector.value as DetectorEntry).case_sensitive !== false);
  if (!result.ok) pattern.error(`the pattern ${result.message}`, result.hint);
}

function checkWord(word: Cursor): void {
  if (word.text === null) return;
  const bytes = Buffer.byteLength(word.text);
  if (bytes < WORD_MIN_BYTES || bytes > WORD_MAX_BYTES)
    word.error(`a word has ${WORD_MIN_BYTES} to ${WORD_MAX_BYTES} bytes`, `this one has ${bytes}`);
  else if (word.text.trim() !== word.text || word.text.includes('\0'))
    word.error('begins or ends with a blank, or holds a NUL', 'blanks are possible inside of a word only');
}

function checkKeys(keys: Cursor, files: PolicyFiles): void {
  checkUniqueNames(keys, 'key');
  for (const key of keys.items()) {
    const path = key.get('file');
    if (path.text === null) continue;
    const content = files.read(path.text);
    const result = content.ok ? readMaskKey(content.value) : content;
    if (!result.ok) path.error(`${path.text} ${result.message}`, result.hint);
  }
}

/** Names of SQL that the server knows by another: a mask by one of them would never hold. */
const TYPE_NAMES: Readonly<Record<string, string>> = {
  bigint: 'int8',
  boolean: 'bool',
  character: 'bpchar',
  decimal: 'numeric',
  double: 'float8',
  int: 'int4',
  integer: 'int4',
  real: 'float4',
  smallint: 'int2',
  string: 'text',
};

function checkType(type: Cursor): void {
  const name = Object.hasOwn(TYPE_NAMES, type.text ?? '') ? TYPE_NAMES[type.text ?? ''] : undefined;
  if (name !== undefined) type.error(`the server has no type "${type.text}"`, `it calls it "${name}"`);
}

function checkAction(mask: Cursor, keys: readonly string[]): void {
  const action = mask.get('action').text;
  const key = mask.get('key');
  const keepLast = mask.get('keep_last');
  if (key.text !== null && !keys.includes(key.text))
    key.error(`there is no key "${key.text}"`, unknownHint(key.text, keys, 'key of `mask_keys`'));
  if (!mask.get('action').clean) return;
  if (action === 'hash' && !key.present)
    mask.error('`action: hash` needs a `key`', 'the name of one of `mask_keys`');
  if (action !== 'hash' && key.present)
    key.error('`key` has no meaning without `action: hash`', 'leave it out');
  if (action === 'partial' && !keepLast.present)
    mask.error(
      '`action: partial` needs `keep_last`',
      'how many letters and digits are left at the end: `keep_last: 4`',
    );
  if (action !== 'partial' && keepLast.present)
    keepLast.error('`keep_last` has no meaning without `action: partial`', 'leave it out');
}

/** Everything in it has been found well-formed. */
function checkWhole(mask: Cursor): void {
  const { detect, columns, types, direction = 'responses' } = mask.value as MaskEntry;
  if (detect === undefined && columns === undefined && types === undefined)
    mask.error(
      'a mask needs `detect`, `columns` or `types`',
      'what is to be found, or whose values are masked whole',
    );
  if (columns === undefined && mask.get('strict').present)
    mask.get('strict').error('`strict` has no meaning without `columns`', 'leave it out');
  if (direction !== 'responses' && mask.get('types').present)
    mask
      .get('types')
      .error('`types` has no meaning in requests', 'types are known of results only: make two masks of it');
}
