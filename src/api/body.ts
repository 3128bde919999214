/** Reading the body of a request: bounded, JSON, an object; and its members, each checked. */
import type { IncomingMessage } from 'node:http';
import { ApiError } from './errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** Reads a JSON object of at most `maxBytes`. Throws ApiError `TOO_LARGE` or `BAD_REQUEST`. */
export async function readJsonObject(request: IncomingMessage, maxBytes: number): Promise<JsonObject> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw new ApiError('TOO_LARGE', `the body is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return parseObject(Buffer.concat(chunks));
}

function parseObject(bytes: Buffer): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    // The parser's own message quotes the body, which may hold anything.
    throw new ApiError('BAD_REQUEST', 'the body is not JSON in UTF-8', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ApiError('BAD_REQUEST', 'the body is not a JSON object');
  }
  return value as JsonObject;
}

/** A member that must be a non-empty string of at most `maxLength` UTF-16 units. Throws ApiError `BAD_REQUEST`. */
export function stringMember(body: JsonObject, name: string, maxLength: number): string {
  const value = body[name];
  if (typeof value !== 'string' || value === '' || value.length > maxLength) {
    throw new ApiError('BAD_REQUEST', `${name}: not a string of 1 to ${maxLength} characters`);
  }
  return value;
}

/** A member that must be true or false. Throws ApiError `BAD_REQUEST`. */
export function booleanMember(body: JsonObject, name: string): boolean {
  const value = body[name];
  if (typeof value !== 'boolean') throw new ApiError('BAD_REQUEST', `${name}: neither true nor false`);
  return value;
}
