/** Parts of the daemon that are written without the kernel, put together with it. */
import { systemClock } from '../core/clock.ts';
import { addon } from '../kernel/addon.ts';
import { closeFd } from '../kernel/descriptors.ts';
import type { EnrolmentTables } from '../kernel/enrolment.ts';
import { namespaceOf, openNamespace } from '../kernel/namespace.ts';
import type { KernelPlane } from '../kernel/plane.ts';
import type { Processes } from '../kernel/processes.ts';
import { agentId } from '../policy/agent-id.ts';
import { Enroller, type EnrolTargets } from './enrol.ts';
import type { Handover } from './handover.ts';
import {
  adoptListeners,
  type DnsSockets,
  type Listeners,
  openDnsSockets,
  openListeners,
} from './listeners.ts';
import { Namespaces, type NamespacesOptions } from './namespaces.ts';
import { type DaemonOptions, reservedAgents } from './options.ts';
import type { TierKeeper } from './tier.ts';

/** New ones, or those of the daemon before. */
export function listenersOver(
  plane: KernelPlane,
  { workers, listenPorts }: DaemonOptions,
  former: Handover | null,
): { readonly listeners: Listeners; readonly dnsSockets: DnsSockets } {
  type Opened = { readonly fd: number; readonly port: number };
  const listen = (ip: string, port: number, backlog: number): Opened => plane.listen(ip, port, backlog);
  if (former !== null)
    return {
      listeners: adoptListeners(former.listeners, listen, workers),
      dnsSockets: former.dnsSockets,
    };
  const listeners = openListeners(listen, workers, listenPorts);
  const dnsSockets = openDnsSockets((ip, port) => plane.listenUdp(ip, port), listen, listeners.addresses);
  return { listeners, dnsSockets };
}

export function namespacesOver(
  plane: KernelPlane,
  options: Pick<
    NamespacesOptions,
    'home' | 'workers' | 'ports' | 'dnsPort' | 'toWorker' | 'toForwarder' | 'nowNs' | 'log'
  >,
): Namespaces {
  return new Namespaces({
    ...options,
    open: openNamespace,
    inodeOf: namespaceOf,
    listen: (ip, port, backlog, netns) => plane.listen(ip, port, backlog, netns),
    listenUdp: (ip, port, netns) => plane.listenUdp(ip, port, netns),
    makeSockets: (netns, family, count) => plane.upstreamSockets(netns, family, count),
    closeFd,
    setState: (cookie, state, quietUntilNs) => plane.setNamespace(cookie, state, quietUntilNs),
    forget: (cookie) => plane.forgetNamespace(cookie),
    taggedPids: () => plane.taggedPids(),
    clock: systemClock,
  });
}

/** Where agents' connections go. */
export interface Ports {
  readonly proxy: readonly number[];
  readonly forwarder: number;
  /** Cookie of the daemon's own network namespace. */
  readonly home: bigint;
}

export function portsOf(listeners: Listeners, dnsSockets: DnsSockets, home: bigint): Ports {
  return { proxy: listeners.ports, forwarder: dnsSockets.port, home };
}

export function openPorts(plane: KernelPlane, { proxy, forwarder, home }: Ports): void {
  plane.setProxyPorts(proxy);
  plane.setForwarderPort(forwarder);
  plane.serveNamespaces(home);
}

/**
 * Programs of another ABI, if there are any, give way to ours, with what they know: either governs agents all the while.
 * Before a worker of ours takes a connection, whose flow it could not read as the former programs tell it: until there is
 * one, connections wait in the queues of the listeners.
 */
export function migrateOver(
  plane: KernelPlane,
  tables: EnrolmentTables,
  ports: Ports,
  tier: TierKeeper,
  log: (message: string) => void,
): void {
  if (!plane.migrates) return;
  const begunMs = performance.now();
  openPorts(plane, ports);
  plane.setEnrolment(tables);
  plane.migrate({
    replaceLsm: (maps) => {
      const reason = tier.replace(maps);
      if (reason !== null) log(`the third layer could not be replaced: ${reason}`);
    },
    log,
  });
  log(`took over what programs of another ABI knew, in ${Math.round(performance.now() - begunMs)} ms`);
}

export function enrollerOver(
  processes: Processes,
  options: Pick<EnrolTargets, 'agentId' | 'agentName' | 'cgroupRoot' | 'selfCgroupId'> & {
    readonly nowNs: () => bigint;
  },
): Enroller {
  return new Enroller({
    ...options,
    list: () => processes.list(),
    tag: (process, id) => processes.tag(process, id, options.nowNs()),
    untag: (pid) => processes.untag(pid),
    sockets: (pid) => processes.sockets(pid),
    takeInSockets: (pid) => processes.takeInSockets(pid),
    disconnect: (pid, fd, cookie) => addon().disconnect(pid, fd, cookie),
    unknownAgentId: agentId(reservedAgents.unknown),
  });
}
