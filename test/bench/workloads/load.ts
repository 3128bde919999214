/** Runs a load generator for a contender: in the near namespace, on the load's processor, as the contender wants it. */
import type { Finished } from '#test/support/command.ts';
import { runPlaced } from '../process.ts';
import type { BenchWorld, Endpoint, RunningContender, Service } from '../types.ts';

/** No run is meant to last a tenth of this: a proxy that stalls ends the benchmark, not the evening. */
const LOAD_LIMIT_MS = 300_000;

export function runLoad(
  world: BenchWorld,
  contender: RunningContender,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  return runPlaced(world.load, contender.loadCommand(argv), { env, timeoutMs: LOAD_LIMIT_MS });
}

/** The first address for a service; the workloads bounded by time run against one process. */
export function firstEndpoint(contender: RunningContender, service: Service): Endpoint {
  const endpoint = contender.endpoints(service)[0];
  if (endpoint === undefined) throw new Error(`${contender.name} has no address for ${service}`);
  return endpoint;
}

export function url(endpoint: Endpoint, path: string): string {
  return `${endpoint.tls ? 'https' : 'http'}://${endpoint.host}:${endpoint.port}${path}`;
}
