/** Runs a load generator for a contender: in the near namespace, on the load's processor, as the contender wants it. */
import { type Finished, runPlaced } from '../process.ts';
import type { Endpoint, RunningContender, Service, World } from '../types.ts';

export function runLoad(
  world: World,
  contender: RunningContender,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  const place = { netns: world.near, cpu: world.loadCpu, env, cwd: world.directory };
  return runPlaced(place, contender.loadCommand(argv), world.signal);
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
