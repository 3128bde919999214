/**
 * The benchmark's processes, each kept to its processor, if it has one. taskset and setpriv end in exec, so the pid that is
 * started is the program's own.
 */
import type { CommandOptions, Finished, Running } from '#test/support/command.ts';
import type { Namespace } from '#test/support/network.ts';

export interface Place {
  readonly namespace: Namespace;
  /** Null: any. */
  readonly cpu: number | null;
  readonly user?: string;
}

function placed({ cpu, user }: Place, argv: readonly string[]): string[] {
  const become =
    user === undefined ? [] : ['setpriv', '--reuid', user, '--regid', user, '--init-groups', '--'];
  return [...pinned(cpu), ...become, ...argv];
}

/** What goes before a command that is to stay on a processor; null: on any. */
export function pinned(cpu: number | null): string[] {
  return cpu === null ? [] : ['taskset', '-c', String(cpu)];
}

/** Starts a program that stays. */
export function startPlaced(
  place: Place,
  argv: readonly string[],
  options: CommandOptions & { readonly keepStdin?: boolean } = {},
): Running {
  return place.namespace.start(placed(place, argv), options);
}

/** Runs a program to its end. Throws with what it said when it fails. */
export async function runPlaced(
  place: Place,
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<Finished> {
  const finished = await place.namespace.run(placed(place, argv), options);
  if (finished.code === 0) return finished;
  const how = finished.timedOut ? 'took too long' : `ended with ${finished.signal ?? finished.code}`;
  throw new Error(`${argv.join(' ')}: ${how}\n${finished.stdout}${finished.stderr}`);
}
