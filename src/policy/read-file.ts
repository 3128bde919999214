/**
 * Reads a policy document, and the files that one names. A path may lead anywhere (/dev/zero, a file of many gigabytes), and the
 * daemon does nothing else meanwhile: so no more is read than counts.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { errnoOf, messageOf, SluiceError } from '../core/errors.ts';
import { PEM_MAX_BYTES } from './pem.ts';
import { DOCUMENT_MAX_BYTES } from './positions.ts';
import { PolicyError } from './problems.ts';

const CHUNK_BYTES = 64 * 1024;

const MENDS: Readonly<Record<string, string>> = {
  ENOENT: 'is the path right? examples/policy.yaml is one to start from',
  EISDIR: 'give the document, not its directory',
  EACCES: 'run this as a user who may read it',
};

/**
 * The text of a document.
 *
 * @throws SluiceError CONFIG when there is none to be read
 * @throws PolicyError when it is too long, or not in UTF-8
 */
export function readDocument(path: string): string {
  const bytes = documentBytes(path);
  if (bytes.length > DOCUMENT_MAX_BYTES)
    throw wrong(path, `the document is larger than ${DOCUMENT_MAX_BYTES} bytes`, 'say it in fewer words');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw wrong(path, 'the document is not in UTF-8', 'save it as UTF-8');
  }
}

/** @throws what reading throws. Of a file that is too long, enough for whoever asks to see that it is. */
export function readNamedFile(path: string): Uint8Array {
  return readBounded(path, PEM_MAX_BYTES);
}

function documentBytes(path: string): Uint8Array {
  try {
    return readBounded(path, DOCUMENT_MAX_BYTES);
  } catch (cause) {
    const errno = errnoOf(cause) ?? '';
    const what = errno === 'EISDIR' ? `${path} is a directory` : messageOf(cause);
    const hint = MENDS[errno];
    throw new SluiceError('CONFIG', `cannot read the policy: ${what}`, {
      cause,
      ...(hint === undefined ? {} : { hint }),
    });
  }
}

function wrong(path: string, message: string, hint: string): PolicyError {
  return new PolicyError(path, [{ line: 1, column: 1, path: '', message, hint }]);
}

/** At most one byte more than `maxBytes`, enough to see that it is too much; works on pipes. */
function readBounded(path: string, maxBytes: number): Uint8Array {
  const fd = openSync(path, 'r');
  try {
    const chunks: Buffer[] = [];
    for (let left = maxBytes + 1; left > 0; ) {
      const chunk = Buffer.alloc(Math.min(left, CHUNK_BYTES));
      const read = readSync(fd, chunk);
      if (read === 0) break;
      chunks.push(chunk.subarray(0, read));
      left -= read;
    }
    return Buffer.concat(chunks);
  } finally {
    closeSync(fd);
  }
}
