/** A container that an agent starts in a pid namespace of its own, and its network joined to the world's far side. */
import type { Test } from 'tap';
import type { Capture } from './capture.ts';
import { type Running, until } from './command.ts';
import { joinBox } from './network.ts';
import type { World } from './world.ts';

export interface Joined {
  /** Whatever ends it ends all of the container. */
  readonly supervisor: number;
  /** Of what leaves the container. */
  readonly capture: Capture;
}

/**
 * @param container says the pid of its supervisor in its first line
 * @param findInside gives a process that is in the container's network, below the supervisor; null: there is none yet
 */
export async function joinContainer(
  t: Test,
  world: World,
  container: Running,
  findInside: (supervisor: number) => number | null,
): Promise<Joined> {
  await container.waitFor((r) => /^\d+\n/.test(r.stdout));
  const supervisor = Number.parseInt(container.stdout, 10);
  t.teardown(() => {
    if (!container.ended) process.kill(supervisor, 'SIGKILL');
  });
  const inside = await until(
    'a process in the container',
    () => {
      if (container.ended) throw new Error(container.stdout + container.stderr);
      return findInside(supervisor);
    },
    90_000,
  );
  await joinBox(`/proc/${inside}/ns/net`, world.far);
  const capture = await world.capture('box', {
    wrap: (argv) => ['nsenter', `--net=/proc/${inside}/ns/net`, '--', ...argv],
  });
  return { supervisor, capture };
}
