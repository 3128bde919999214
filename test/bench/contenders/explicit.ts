/** What the contenders that listen on an address of their own have in common: N processes, each with its ports. */
import type { Running } from '#test/support/command.ts';
import { waitForListener } from '#test/support/listening.ts';
import { startPlaced } from '../process.ts';
import type { BenchWorld, Contender, ContenderName, RunningContender, Service } from '../types.ts';
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
  prepare: (world: BenchWorld, index: number) => readonly Instance[],
): Contender {
  async function start(world: BenchWorld, processes: number): Promise<RunningContender> {
    const running: Running[] = [];
    const stop = async (): Promise<void> => {
      await Promise.all(running.map((service) => service.stop()));
    };
    try {
      for (let index = 0; index < processes; index += 1) {
        for (const { argv, service, user } of prepare(world, index)) {
          const child = startPlaced({ ...world.proxies, ...(user === undefined ? {} : { user }) }, argv);
          running.push(child);
          await waitForListener(
            child,
            service.map((one) => loopbackEndpoint(name, one, index).port),
          );
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
