/**
 * Small HTTP requests by wrk, one thread: over connections that stay (`requests-N`), or over a new connection for
 * each (`connections`). The unit is the request, which for `connections` is also the connection.
 *
 * wrk does not verify certificates, so the direct contender is spared that work; and it starts its clock once
 * connected, so the direct contender's latency holds no TLS handshake where the proxied ones' does.
 */
import { fileURLToPath } from 'node:url';
import { SMALL_PATH } from '../servers.ts';
import type { Outcome, Workload, WorkloadName } from '../types.ts';
import { firstEndpoint, runLoad, url } from './load.ts';

const SCRIPT = fileURLToPath(new URL('../wrk.lua', import.meta.url));
const NEW_CONNECTION_CLIENTS = 16;

interface WrkResult {
  readonly requests: number;
  readonly durationUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly errors: number;
}

function wrk(name: WorkloadName, clients: number, keepAlive: boolean): Workload {
  return {
    name,
    service: 'http',
    warmedBy: name === 'requests-64' ? 'requests-16' : null,
    async run(world, contender, effort, warmUp): Promise<Outcome> {
      const seconds = warmUp ? effort.warmUpSeconds : effort.seconds;
      const { stdout } = await runLoad(world, contender, [
        ...['wrk', '-t1', `-c${clients}`, `-d${seconds}s`, '--timeout', '10s', '-s', SCRIPT],
        ...['-H', `Host: ${world.serverName}`, ...(keepAlive ? [] : ['-H', 'Connection: close'])],
        url(firstEndpoint(contender, 'http'), SMALL_PATH),
      ]);
      const line = stdout.trim().split('\n').at(-1) ?? '';
      const result = JSON.parse(line) as WrkResult;
      if (result.requests === 0) throw new Error(`no request got through:\n${stdout}`);
      const { requests, durationUs, ...rest } = result;
      return { amount: requests, seconds: durationUs / 1e6, ...rest };
    },
  };
}

export const requests16 = wrk('requests-16', 16, true);
export const requests64 = wrk('requests-64', 64, true);
export const connections = wrk('connections', NEW_CONNECTION_CLIENTS, false);
