/**
 * Waits until a program has opened its ports, without connecting to them (a probe would be one more connection
 * in logs and captures): /proc/PID/net is that of the program's own network namespace.
 */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type ListenOptions, type Server } from 'node:net';
import { type Running, until } from './command.ts';

/** TCP_LISTEN in include/net/tcp_states.h, as /proc/net/tcp prints it. */
const LISTEN = '0A';

export function listeningPorts(pid: number): Set<number> {
  const ports = new Set<number>();
  for (const table of ['tcp', 'tcp6']) {
    for (const line of readFileSync(`/proc/${pid}/net/${table}`, 'utf8').split('\n').slice(1)) {
      const [, local, , state] = line.trim().split(/\s+/);
      if (state === LISTEN) ports.add(Number.parseInt(local?.split(':').at(-1) ?? '', 16));
    }
  }
  return ports;
}

export async function waitForListener(program: Running, ports: readonly number[]): Promise<void> {
  await until(`ports ${ports.join(', ')} to be open`, () => {
    if (program.ended) throw new Error(`it ended before it listened:\n${program.stdout}${program.stderr}`);
    const open = listeningPorts(program.pid);
    return ports.every((port) => open.has(port));
  });
}

/** Below those that the kernel gives to whoever takes any (ip_local_port_range): by chance nobody gets one of them. */
const PORTS = { first: 20_000, end: 32_000 } as const;

/**
 * On loopback, until this process ends: for servers that cannot be told to take any, and for nobody to listen at. Tests that run
 * beside each other have different ones.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.first, PORTS.end);
    const claim = await listenAt({ path: `\0sluice-test-port-${port}` });
    if (claim === null) continue;
    claim.unref();
    const server = await listenAt({ host: '127.0.0.1', port });
    if (server === null) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** Null: somebody listens there. */
function listenAt(where: ListenOptions): Promise<Server | null> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(null));
    server.listen(where, () => resolve(server));
  });
}
