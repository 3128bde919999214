/** Checks the form of a document against `schema.json` and says what is wrong in the document's own terms. */
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { nearest, unknownHint } from './nearest.ts';
import { childPointer } from './positions.ts';
import type { Report } from './report.ts';
import schema from './schema.json' with { type: 'json' };

let compiled: ValidateFunction | undefined;

/** Compiled at first use: the workers import policy code and never validate. */
function validator(): ValidateFunction {
  compiled ??= new Ajv2020({
    allErrors: true,
    verbose: true,
    allowUnionTypes: true,
    strictRequired: false,
  }).compile(schema);
  return compiled;
}

export function checkForm(report: Report, document: unknown): void {
  const validate = validator();
  if (validate(document)) return;
  for (const error of validate.errors ?? []) reportError(report, error);
}

function reportError(report: Report, error: ErrorObject): void {
  const at = error.instancePath;
  // The branches of `oneOf` and the frames around other errors repeat what one message says better.
  if (error.schemaPath.includes('/oneOf/') || ['if', 'propertyNames'].includes(error.keyword)) return;
  if (error.propertyName !== undefined) {
    report.errorAtKey(
      childPointer(at, error.propertyName),
      `"${error.propertyName}" is not a port`,
      'a number from 1 to 65535',
    );
  } else if (error.keyword === 'additionalProperties') {
    const key = String(error.params['additionalProperty']);
    const known = Object.keys(error.parentSchema?.['properties'] ?? {});
    report.errorAtKey(childPointer(at, key), `unknown key "${key}"`, unknownHint(key, known, 'key'));
  } else {
    report.error(at, messageFor(error), hintFor(error));
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  array: 'a list',
  boolean: 'true or false',
  integer: 'a whole number',
  object: 'a mapping of keys to values',
  string: 'text',
  'integer,string': 'a number or text',
  'string,object': 'text or a mapping of keys to values',
};

function messageFor(error: ErrorObject): string {
  const { params } = error;
  switch (error.keyword) {
    case 'required':
      return `"${params['missingProperty']}" is missing`;
    case 'type': {
      const wanted = `must be ${TYPE_NAMES[String(params['type'])] ?? params['type']}`;
      return error.data === null || error.data === undefined ? `is empty; ${wanted}` : wanted;
    }
    case 'const':
      return `must be ${params['allowedValue']}`;
    case 'enum':
      return `must be one of ${choices(error).join(', ')}`;
    case 'oneOf':
      return 'must have exactly one of unit, slice, cgroup, run, uid and exe';
    case 'pattern':
      return `"${error.data}" is not valid here`;
    case 'minItems':
      return 'must not be an empty list';
    case 'minLength':
      return 'must not be empty';
    case 'minimum':
    case 'maximum':
      return `must be ${params['comparison']} ${params['limit']}`;
    default:
      // maxItems, maxLength, maxProperties: the validator's own words are plain enough.
      return error.message ?? error.keyword;
  }
}

/** The key's description is the best explanation there is; a likely slip of the pen is better still. */
function hintFor(error: ErrorObject): string | null {
  if (error.keyword === 'enum' && typeof error.data === 'string') {
    const near = nearest(error.data, choices(error));
    if (near !== null) return `did you mean "${near}"?`;
  }
  if (error.keyword === 'oneOf') return null;
  const { parentSchema } = error;
  const missing =
    error.keyword === 'required'
      ? parentSchema?.['properties']?.[error.params['missingProperty']]
      : undefined;
  const description: unknown = missing?.description ?? parentSchema?.['description'];
  return typeof description === 'string' ? description : null;
}

function choices(error: ErrorObject): string[] {
  const values: unknown = error.params['allowedValues'];
  return Array.isArray(values) ? [...new Set(values.map(String))] : [];
}
