/**
 * The kernel plane of whatever version this file lies in, with a listener behind it: what a daemon is to the kernel, and
 * nothing else. Started by `planes.ts`, which gives it the listener as descriptor 3. It says in lines of JSON what it
 * sees, and ends with its standard input.
 */
import { createServer } from 'node:net';
import { addon } from '#src/kernel/addon.ts';
import { cgroupId, moveSelf } from '#src/kernel/cgroup.ts';
import type { EnrolmentTables } from '#src/kernel/enrolment.ts';
import { encodeListenerSock, encodeU32, SLUICE_ABI } from '#src/kernel/layout.ts';
import { KernelPlane } from '#src/kernel/plane.ts';
import { EventRing } from '#src/kernel/ring.ts';
import { readFlow } from '#src/kernel/worker.ts';
import { fdOf } from '#src/proxy/socket-fd.ts';

export interface HolderOptions {
  readonly pinDirectory: string;
  readonly cgroupRoot: string;
  /** Paths. */
  readonly selfCgroup: string;
  readonly agentCgroup: string;
  readonly agentId: number;
  readonly unknownId: number;
  readonly port: number;
  /** Where agents may serve processes on this host. */
  readonly servedPort: number;
  /** Of the listener, if another holder has marked it. */
  readonly mark: string | null;
  /** Dies by SIGKILL before the step of that name. */
  readonly dieBefore: string | null;
}

export interface Ready {
  readonly abi: number;
  readonly mark: string;
  readonly migrated: boolean;
  readonly ms: number;
  readonly steps: readonly string[];
}

export interface Counted {
  readonly udpRefused: number;
  /** Agent, technique and count. */
  readonly denials: readonly (readonly [number, string | null, number])[];
  readonly ineffective: readonly string[];
}

export type Told =
  | { readonly ready: Ready }
  | { readonly counted: Counted }
  | { readonly event: { readonly kind: string; readonly id: string; readonly reason: string | null } };

const LISTENER_FD = 3;
const MAPPED = '00000000000000000000ffff';

function tablesOf(options: HolderOptions): EnrolmentTables {
  const { agentCgroup: path, agentId, servedPort } = options;
  const addresses = [`${MAPPED}7f000000`, `${MAPPED}7fffffff`] as const;
  const range = { rule: 9, protocol: 6, ports: [servedPort, servedPort], addresses } as const;
  return {
    cgroups: [{ path, agentId }],
    uids: [],
    exes: [],
    places: [],
    closedSockets: { files: [], places: [] },
    dns: false,
    inbound: [{ agentId, ranges: [range] }],
  };
}

function tell(what: Told): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

function hold(options: HolderOptions): void {
  const { pinDirectory, cgroupRoot, selfCgroup, mark, dieBefore } = options;
  moveSelf(`${cgroupRoot}${selfCgroup}`);
  const plane = KernelPlane.load({
    pinDirectory,
    cgroupRoot,
    workerUid: 65534,
    selfCgroupId: cgroupId(`${cgroupRoot}${selfCgroup}`),
    unknownAgentId: options.unknownId,
    ...(mark === null ? {} : { mark: BigInt(mark) }),
  });
  if (mark === null) {
    const socks = new (addon().BpfMap)(`${pinDirectory}/maps${plane.migrates ? '_next' : ''}/sluice_socks`);
    socks.update(encodeU32(LISTENER_FD), encodeListenerSock(plane.mark));
  }
  plane.setProxyPorts([options.port]);
  const migrated = plane.migrates;
  const begunMs = performance.now();
  const steps: string[] = [];
  plane.setEnrolment(tablesOf(options));
  plane.migrate({ replaceLsm: () => undefined, log: (text) => process.stderr.write(`${text}\n`) }, (step) => {
    steps.push(step.name);
    if (step.name === dieBefore) process.kill(process.pid, 'SIGKILL');
  });
  const ms = performance.now() - begunMs;
  if (migrated) plane.setEnrolment(tablesOf(options));
  plane.attach();
  const server = createServer((socket) => {
    const fd = fdOf(socket);
    const facts = fd === null ? null : readFlow(fd)?.facts;
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => socket.write(bytes));
    socket.write(`for ${facts?.dstIp}:${facts?.dstPort} of ${facts?.agentId}\n`);
  }).listen({ fd: LISTENER_FD });
  const rings = (['sluice_ring_flow', 'sluice_ring_deny'] as const).map(
    (name) =>
      new EventRing(pinDirectory, name, ({ kind, id, reason }) => {
        tell({ event: { kind, id, reason } });
        return false;
      }),
  );
  process.stdin.on('data', (command) => {
    if (command.includes('retire')) {
      server.close();
      for (const ring of rings) ring.close();
    }
    const { refused } = plane.counters();
    tell({
      counted: {
        udpRefused: Number(refused['udp_denied']),
        denials: plane.denials().map(({ agentId, technique, count }) => [agentId, technique, Number(count)]),
        ineffective: plane.programs().flatMap(({ name, effective }) => (effective ? [] : [name])),
      },
    });
  });
  process.stdin.on('end', () => process.exit(0));
  tell({ ready: { abi: SLUICE_ABI, mark: String(plane.mark), migrated, ms, steps } });
}

if (process.argv[1] === import.meta.filename) hold(JSON.parse(process.argv[2] ?? '') as HolderOptions);
