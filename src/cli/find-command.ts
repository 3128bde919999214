/** Finding a command as execvp(3) does, so that a wrong name is reported before anything is set up for it. */
import { accessSync, constants, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { errnoOf } from '../core/errors.ts';
import { EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND } from './exit-codes.ts';

/** What execvp(3) searches when there is no PATH. */
const DEFAULT_PATH = '/bin:/usr/bin';

export type FoundCommand =
  | { readonly kind: 'found'; readonly path: string }
  /** `exitCode` and `message` are those of env(1). */
  | { readonly kind: 'missing'; readonly exitCode: number; readonly message: string };

/** A name with a slash is a path; an empty entry of `searchPath` is the working directory. */
export function findCommand(name: string, searchPath: string | undefined, directory: string): FoundCommand {
  const candidates = name.includes('/')
    ? [resolve(directory, name)]
    : (searchPath ?? DEFAULT_PATH).split(':').map((entry) => join(resolve(directory, entry), name));
  const states = name === '' ? [] : candidates.map(stateOf);
  const found = candidates[states.indexOf('executable')];
  if (found !== undefined) return { kind: 'found', path: found };
  return states.includes('not-executable')
    ? { kind: 'missing', exitCode: EXIT_NOT_EXECUTABLE, message: `${name}: not executable` }
    : { kind: 'missing', exitCode: EXIT_NOT_FOUND, message: `${name}: not found` };
}

function stateOf(path: string): 'executable' | 'not-executable' | 'absent' {
  try {
    const stat = statSync(path);
    // A directory also has execute permission, and root has it for any file that has one bit set.
    if (!stat.isFile()) return 'not-executable';
    accessSync(path, constants.X_OK);
    return 'executable';
  } catch (error) {
    return errnoOf(error) === 'EACCES' ? 'not-executable' : 'absent';
  }
}
