/**
 * Waits until a program has opened its ports, without connecting to them (a probe would be one more connection
 * in logs and captures): /proc/PID/net is that of the program's own network namespace.
 */
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
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

/** On loopback, of the moment: for servers that cannot be told to take any. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
