/** The API's view of the daemon. */
import { resolve } from 'node:path';
import type { FlowFilter } from '../api/flow-filter.ts';
import type { ApiBackend, DenialStatus, Status } from '../api/types.ts';
import { messageOf } from '../core/errors.ts';
import type { OutcomeCounts } from '../flowlog/outcome-counts.ts';
import { namespaceText } from '../kernel/namespace.ts';
import { pinnedSizes } from '../kernel/tables.ts';
import { agentId } from '../policy/agent-id.ts';
import { readNamedFile } from '../policy/read-file.ts';
import type { Daemon } from './daemon.ts';
import { reservedAgents } from './options.ts';
import { version } from './self.ts';

/** What puts enforcement in doubt, and what merely makes it worse: a worker that is gone refuses, it does not leak. */
function statusReasons(daemon: Daemon): { readonly doubts: string[]; readonly others: string[] } {
  const doubts: string[] = [];
  const others: string[] = [];
  for (const program of daemon.plane.programs())
    if (!program.effective || !program.pinned) doubts.push(`program ${program.name} is not in force`);
  for (const worker of daemon.workers())
    if (worker.pid === null) others.push(`worker ${worker.number} is being started again`);
  others.push(...daemon.policies.tables.doubts);
  const { fallen, tier, reason } = daemon.tier.state;
  if (fallen) others.push(`the tier has fallen to ${tier}: ${reason}`);
  const forwarder = daemon.forwarder();
  if (forwarder?.pid === null) others.push('the DNS forwarder is being started again');
  if (forwarder?.outOfDescriptors)
    others.push(
      'the DNS forwarder has no file descriptors left: questions by TCP wait, those by UDP are answered',
    );
  const test = daemon.lastSelfTest;
  if (test !== null && !test.ok) doubts.push(test.detail);
  return { doubts, others };
}

function status(daemon: Daemon, outcomes: OutcomeCounts): Status {
  const { doubts, others } = statusReasons(daemon);
  const counters = daemon.plane.counters();
  const ledger = daemon.ledger.counters();
  const received = daemon.ringCounts();
  const { state, path, rows, bytes, error, dropped } = daemon.store.health();
  return {
    version: version(),
    pid: process.pid,
    startedAt: daemon.startedAt.toISOString(),
    enforcing: doubts.length === 0,
    reasons: [...doubts, ...others],
    tier: daemon.tier.state.tier,
    tierReason: daemon.tier.state.reason,
    programs: [...daemon.plane.programs(), ...daemon.plane.lsmPrograms()],
    listeners: listeners(daemon),
    workers: daemon.workers(),
    draining: daemon.draining(),
    policy: daemon.policies.state(),
    ledger: {
      open: ledger.open,
      allowed: ledger.verdicts.allow,
      denied: ledger.verdicts.deny,
      errors: ledger.verdicts.error,
      lost: ledger.reasons.lost ?? 0,
    },
    holds: daemon.holds.counts(),
    outcomes: outcomes.all(),
    rings: {
      flow: { received: received.flow, lost: Number(counters.flowEventsLost) },
      deny: { received: received.deny, lost: Number(counters.denyEventsLost) },
    },
    denials: denials(daemon),
    tables: tablesOf(daemon),
    store: { ok: state === 'ok', error, path, rows, bytes, dropped },
    counters: counted(daemon),
    selfTest: daemon.lastSelfTest,
  };
}

function denials(daemon: Daemon): DenialStatus[] {
  const names = new Map(daemon.policies.policy.agents.map(({ id, name }) => [id, name]));
  names.set(agentId(reservedAgents.unknown), reservedAgents.unknown);
  return daemon.plane
    .denials()
    .filter((entry) => entry.agentId !== agentId(reservedAgents.canary))
    .map(({ agentId: id, technique, count }) => ({
      agent: names.get(id) ?? id.toString(16).padStart(8, '0'),
      technique: technique ?? 'unknown',
      count: Number(count),
    }))
    .sort((a, b) => b.count - a.count);
}

function tablesOf(daemon: Daemon): Status['tables'] {
  const { untagged, unpublished, unsorted, flowEventsLost, denyEventsLost } = daemon.plane.counters();
  const refused: Partial<Record<string, bigint>> = {
    processes: untagged,
    'pending-flows': unpublished,
    refusals: unsorted,
    'flow-ring-bytes': flowEventsLost,
    'deny-ring-bytes': denyEventsLost,
  };
  return Object.entries(pinnedSizes(daemon.options.pinDirectory)).map(([name, size]) => {
    const count = refused[name];
    return { name, size, refused: count === undefined ? null : Number(count) };
  });
}

/** The daemon's own first, then those of other network namespaces agents are in. */
function listeners(daemon: Daemon): Status['listeners'] {
  const home = { netns: namespaceText(daemon.home.inode), addresses: daemon.listeners.addresses };
  return [home, ...daemon.namespaces.served()].flatMap(({ netns, addresses }) =>
    addresses.flatMap((ip) => daemon.listeners.ports.map((port) => ({ ip, port, netns }))),
  );
}

/** Flat, so that a monitor can take each by its name. */
function counted(daemon: Daemon): Record<string, number> {
  const { refused, untagged, unsorted, unpublished } = daemon.plane.counters();
  const { closing, waiting, lateReports, lateEvents, malformedReports, untracked, unattested } =
    daemon.ledger.counters();
  const ledger = { closing, waiting, lateReports, lateEvents, malformedReports, untracked, unattested };
  const { errors, backlog } = daemon.store.health();
  const counters: Record<string, number> = {
    'kernel.untagged': Number(untagged),
    'kernel.unsorted': Number(unsorted),
    'kernel.unpublished': Number(unpublished),
  };
  for (const [reason, count] of Object.entries(refused)) counters[`kernel.refused.${reason}`] = Number(count);
  for (const [name, count] of Object.entries(ledger)) counters[`ledger.${name}`] = count;
  for (const [name, count] of Object.entries(daemon.namespaces.counters()))
    counters[`namespaces.${name}`] = count;
  for (const [name, count] of Object.entries(daemon.attestationCounters()))
    counters[`attestation.${name}`] = count;
  const forwarder = daemon.forwarder();
  for (const [name, count] of Object.entries(forwarder?.counters ?? {})) counters[`dns.${name}`] = count;
  counters['dns.restarts'] = forwarder?.restarts ?? 0;
  return {
    ...counters,
    'store.errors': errors,
    'store.backlog': backlog,
    'flow_log.dropped': daemon.flowLogDropped(),
    'rings.forced': daemon.ringCounts().forced,
  };
}

export function backendOf(daemon: Daemon, outcomes: OutcomeCounts): ApiBackend {
  return {
    status: async () => status(daemon, outcomes),
    flows: async (filter: FlowFilter) => daemon.store.query(filter),
    onFlow: (listener) => daemon.onFlow(listener),
    applyPolicy: async ({ path, text }) => {
      try {
        const policy = await daemon.policies.apply(text, resolve(path), readNamedFile);
        daemon.note(`policy ${policy.revision} from ${resolve(path)} was applied and is in force`);
        return { revision: policy.revision };
      } catch (error) {
        daemon.note(`a policy that was to be applied was refused:\n${messageOf(error)}`);
        throw error;
      }
    },
    agents: (limit) => daemon.agents(limit),
    enrol: async (request) => {
      const enrolled = await daemon.enroller.enrol(request);
      const { length } = enrolled.processes;
      daemon.note(`${request.target} was enrolled as ${request.agent}, processes: ${length}`);
      return enrolled;
    },
    createRun: async (name) => {
      const { directory, path } = daemon.createRun(name);
      const agentKnown = daemon.policies.policy.agents.some((agent) =>
        agent.enrolments.some((rule) => rule.kind === 'cgroup' && path.startsWith(`${rule.path}/`)),
      );
      return { cgroupPath: directory, agentKnown };
    },
    releaseRun: async (cgroupPath) => ({ removed: daemon.runs.release(cgroupPath) }),
    holds: async () => ({ holds: daemon.holds.list() }),
    onHold: (listener) => daemon.holds.onHold(listener),
    answerHold: ({ id, approved, reason = null }, by) => daemon.holds.answer(id, { approved, reason, by }),
    restartWorkers: async () => {
      await daemon.restartWorkers();
      daemon.note('every worker was replaced');
      return { draining: daemon.draining() };
    },
    selfTest: () => daemon.selfTest(),
  };
}
