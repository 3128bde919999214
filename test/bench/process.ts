/**
 * The benchmark's processes, each kept to its processor. taskset and setpriv end in exec, so the pid that is
 * started is the program's own.
 */
import type { CommandOptions, Finished, Running } from '#test/support/command.ts';
import type { Namespace } from '#test/support/network.ts';

export interface Place {
  readonly namespace: Namespace;
  readonly cpu: number;
  readonly user?: string;
}

function placed({ cpu, user }: Place, argv: readonly string[]): string[] {
  const become =
    user === undefined ? [] : ['setpriv', '--reuid', user, '--regid', user, '--init-groups', '--'];
  return ['taskset', '-c', String(cpu), ...become, ...argv];
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
