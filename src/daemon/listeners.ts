/**
 * The daemon's listeners: for each worker and port one on 127.0.0.1 and, where the host has IPv6, one on ::1; and the
 * same for the forwarder, on a port of its own. There are several ports because all connections of a host's agents have
 * two addresses at most: to one port they run out of local ports at 28,000.
 */
import { errnoOf, SluiceError } from '../core/errors.ts';
import { addon } from '../kernel/addon.ts';
import type { PoolListener } from './worker-process.ts';

/** The kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;
/** DNS over TCP is the exception. */
const DNS_BACKLOG = 256;
/** The port the kernel gave for IPv4 may be taken for IPv6. */
const ATTEMPTS = 16;

export interface Listeners {
  readonly ports: readonly number[];
  readonly byWorker: readonly (readonly PoolListener[])[];
  readonly addresses: readonly string[];
}

type Listen = (ip: string, port: number, backlog: number) => { readonly fd: number; readonly port: number };

interface OnePort {
  readonly port: number;
  /** A worker's, IPv4 first. */
  readonly byWorker: readonly (readonly PoolListener[])[];
}

function openOnPort(listen: Listen, workers: number): OnePort {
  const opened: number[] = [];
  const open = (ip: string, port: number): { readonly fd: number; readonly port: number } => {
    const listener = listen(ip, port, BACKLOG);
    opened.push(listener.fd);
    return listener;
  };
  try {
    const first = open('127.0.0.1', 0);
    const byWorker: PoolListener[][] = [];
    let hasV6 = true;
    for (let worker = 0; worker < workers; worker += 1) {
      const v4 = worker === 0 ? first : open('127.0.0.1', first.port);
      const listeners: PoolListener[] = [{ fd: v4.fd, family: 4 }];
      try {
        if (hasV6) listeners.push({ fd: open('::1', first.port).fd, family: 6 });
      } catch (error) {
        // No IPv6 here: an agent's IPv6 connection then finds no listener and is refused.
        if (errnoOf(error) !== 'EADDRNOTAVAIL' && errnoOf(error) !== 'EAFNOSUPPORT') throw error;
        hasV6 = false;
      }
      byWorker.push(listeners);
    }
    return { port: first.port, byWorker };
  } catch (error) {
    for (const fd of opened) addon().closeFd(fd);
    throw error;
  }
}

/**
 * @param count number of ports
 * @throws SluiceError KERNEL when no port is free for both families.
 */
export function openListeners(listen: Listen, workers: number, count: number): Listeners {
  const opened: OnePort[] = [];
  try {
    for (let n = 0; n < count; n += 1) opened.push(onFreePort(() => openOnPort(listen, workers)));
  } catch (error) {
    for (const { fd } of opened.flatMap(({ byWorker }) => byWorker.flat())) addon().closeFd(fd);
    throw error;
  }
  const byWorker = Array.from({ length: workers }, (_, n) => opened.flatMap((one) => one.byWorker[n] ?? []));
  const hasV6 = byWorker.flat().some(({ family }) => family === 6);
  return {
    ports: opened.map(({ port }) => port),
    byWorker,
    addresses: hasV6 ? ['127.0.0.1', '::1'] : ['127.0.0.1'],
  };
}

/**
 * Those of the daemon before, with whoever waits in their queues. Its ports stay, whatever number of them is asked for:
 * agents are on their way to them. With fewer workers some have several; with more, others are opened beside.
 */
export function adoptListeners(former: Listeners, listen: Listen, workers: number): Listeners {
  const byWorker = Array.from({ length: workers }, (): PoolListener[] => []);
  for (const [n, listeners] of former.byWorker.entries()) byWorker[n % workers]?.push(...listeners);
  for (const listeners of byWorker.slice(former.byWorker.length))
    for (const port of former.ports)
      for (const ip of former.addresses)
        listeners.push({ fd: listen(ip, port, BACKLOG).fd, family: ip.includes(':') ? 6 : 4 });
  return { ...former, byWorker };
}

function onFreePort<T>(open: () => T): T {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1)
    try {
      return open();
    } catch (error) {
      if (errnoOf(error) !== 'EADDRINUSE') throw error;
    }
  throw new SluiceError('KERNEL', 'no free port for the listeners on 127.0.0.1 and ::1');
}

/** The forwarder's sockets: datagrams and TCP, on one port. */
export interface DnsSockets {
  readonly port: number;
  readonly datagrams: readonly PoolListener[];
  readonly listeners: readonly PoolListener[];
}

type Bind = (ip: string, port: number) => { readonly fd: number; readonly port: number };

/** @throws SluiceError KERNEL when no port is free for both families and protocols. */
export function openDnsSockets(bind: Bind, listen: Listen, addresses: readonly string[]): DnsSockets {
  return onFreePort(() => {
    const opened: number[] = [];
    let port = 0;
    const keep = (socket: { readonly fd: number; readonly port: number }, ip: string): PoolListener => {
      opened.push(socket.fd);
      port = socket.port;
      return { fd: socket.fd, family: ip.includes(':') ? 6 : 4 };
    };
    try {
      const datagrams = addresses.map((ip) => keep(bind(ip, port), ip));
      const listeners = addresses.map((ip) => keep(listen(ip, port, DNS_BACKLOG), ip));
      return { port, datagrams, listeners };
    } catch (error) {
      for (const fd of opened) addon().closeFd(fd);
      throw error;
    }
  });
}
