/** What the contenders that listen on an address of their own have in common: N processes, each with its ports. */
import { join } from 'node:path';
import { startService, waitForPorts } from '../process.ts';
import type { Contender, ContenderName, RunningContender, Service, World } from '../types.ts';
import { loopbackEndpoint } from './ports.ts';

export interface Instance {
  readonly argv: readonly string[];
  readonly service: Service[];
  readonly user?: string;
}

/** `prepare` writes the configuration of process number `index` and says which commands serve what. */
export function explicitProxy(
  name: ContenderName,
  services: readonly Service[],
  prepare: (world: World, index: number) => readonly Instance[],
): Contender {
  async function start(world: World, processes: number): Promise<RunningContender> {
    const running: ReturnType<typeof startService>[] = [];
    const stop = async (): Promise<void> => {
      await Promise.all(running.map((service) => service.stop()));
    };
    try {
      for (let index = 0; index < processes; index += 1) {
        for (const { argv, service, user } of prepare(world, index)) {
          const place = { netns: world.near, cpu: world.proxyCpu, ...(user === undefined ? {} : { user }) };
          const child = startService(place, argv, join(world.directory, `${name}.log`));
          running.push(child);
          const ports = service.map((one) => loopbackEndpoint(name, one, index).port);
          await waitForPorts(child, ports, world.signal);
        }
      }
    } catch (error) {
      await stop();
      throw error;
    }
    return {
      name,
      endpoints: (service) =>
        Array.from({ length: processes }, (_, index) => loopbackEndpoint(name, service, index)),
      loadCommand: (argv) => argv,
      pids: running.map((child) => child.pid),
      stop,
    };
  }
  return { name, services, start };
}
