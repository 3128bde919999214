/** What `sluice status` shows, as metrics for Prometheus. docs/metrics.md describes each. */
import { exposition, type Family, type Sample } from './exposition.ts';
import type { Status } from './types.ts';

export function metricsText(status: Status): string {
  return exposition([
    ...state(status),
    ...flows(status),
    ...holds(status),
    ...kernel(status),
    ...processes(status),
    ...store(status),
  ]);
}

function gauge(name: string, help: string, ...samples: readonly Sample[]): Family {
  return { name: `sluice_${name}`, type: 'gauge', help, samples };
}

function counter(name: string, help: string, ...samples: readonly Sample[]): Family {
  return { name: `sluice_${name}_total`, type: 'counter', help, samples };
}

function state({ version, startedAt, enforcing, tier, programs, policy, selfTest }: Status): Family[] {
  const effective = programs.filter((program) => program.effective && program.pinned).length;
  return [
    gauge('build_info', 'The daemon that runs.', { labels: { version }, value: 1 }),
    gauge('start_time_seconds', 'When the daemon started, seconds since 1970.', {
      value: Date.parse(startedAt) / 1000,
    }),
    gauge('enforcing', '1: agents are governed, as the last self-test saw; 0: this is in doubt.', {
      value: Number(enforcing),
    }),
    gauge('enforcement_tier', 'Which layers of enforcement are in force.', { labels: { tier }, value: 1 }),
    gauge('self_test_ok', '1: the last self-test passed. Absent until the first.', ...okOf(selfTest)),
    gauge('programs', 'Kernel programs of this version.', { value: programs.length }),
    gauge('programs_in_force', 'Those of them that are attached, effective and pinned.', {
      value: effective,
    }),
    gauge('policy_info', 'The policy in force.', { labels: { revision: policy.revision }, value: 1 }),
  ];
}

function okOf(selfTest: Status['selfTest']): Sample[] {
  return selfTest === null ? [] : [{ value: Number(selfTest.ok) }];
}

function flows({ ledger, outcomes, counters }: Status): Family[] {
  const ended = outcomes.map(({ disposition, reason, count }) => ({
    labels: { disposition, reason },
    value: count,
  }));
  return [
    gauge('flows_open', 'Flows that have begun and not ended.', { value: ledger.open }),
    counter('flows', 'Flows that ended, by how they were protected and why they ended.', ...ended),
    ...['late_reports', 'late_events', 'malformed_reports', 'untracked', 'unattested'].map((name) =>
      counter(`ledger_${name}`, `Counter ledger.${camel(name)} of sluice status.`, {
        value: counters[`ledger.${camel(name)}`] ?? 0,
      }),
    ),
  ];
}

function holds({ holds: { waiting, oldestSeconds, ended } }: Status): Family[] {
  const each = (value: (one: (typeof ended)[number]) => number): Sample[] =>
    ended.map((one) => ({ labels: { outcome: one.outcome }, value: value(one) }));
  return [
    gauge('holds_waiting', 'Statements that wait for approval.', { value: waiting }),
    gauge('holds_oldest_seconds', 'Since when the oldest of them waits; 0: none does.', {
      value: oldestSeconds ?? 0,
    }),
    counter(
      'holds',
      'Statements that needed approval, by what became of them.',
      ...each(({ count }) => count),
    ),
    counter(
      'holds_waited_seconds',
      'How long those have waited together.',
      ...each(({ seconds }) => seconds),
    ),
  ];
}

function camel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** All counters whose name begins so, with the rest of it as a label. */
function labelled(counters: Status['counters'], prefix: string, label: string): Sample[] {
  return Object.entries(counters)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => ({ labels: { [label]: name.slice(prefix.length) }, value }));
}

function kernel({ rings, denials, counters }: Status): Family[] {
  const denied = denials.map(({ agent, technique, count }) => ({
    labels: { agent, technique },
    value: count,
  }));
  const ring = (of: (ring: Status['rings']['flow']) => number): Sample[] =>
    (['flow', 'deny'] as const).map((name) => ({ labels: { ring: name }, value: of(rings[name]) }));
  return [
    counter(
      'kernel_refused',
      'Refusals in the kernel, told in records or not.',
      ...labelled(counters, 'kernel.refused.', 'reason'),
    ),
    counter('denied', 'The same by agent and technique, without the self-test’s.', ...denied),
    counter('kernel_untagged', 'Processes that could not be tagged: the table was full.', {
      value: counters['kernel.untagged'] ?? 0,
    }),
    counter(
      'ring_events',
      'Kernel events read since the daemon started.',
      ...ring(({ received }) => received),
    ),
    counter(
      'ring_events_lost',
      'Kernel events that found no room in their ring.',
      ...ring(({ lost }) => lost),
    ),
  ];
}

function processes({ workers, counters }: Status): Family[] {
  const each = (value: (worker: Status['workers'][number]) => number): Sample[] =>
    workers.map((worker) => ({ labels: { worker: String(worker.number) }, value: value(worker) }));
  const dns = labelled(counters, 'dns.', 'kind').filter(({ labels }) => labels?.['kind'] !== 'restarts');
  const namespaces = labelled(counters, 'namespaces.refused_', 'reason');
  return [
    gauge(
      'worker_up',
      '1: the worker runs; 0: it is being started again.',
      ...each(({ pid }) => Number(pid !== null)),
    ),
    gauge('worker_flows_open', 'Flows a worker carries.', ...each(({ openFlows }) => openFlows)),
    counter('worker_accepted', 'Connections accepted.', ...each(({ accepted }) => accepted)),
    counter(
      'worker_refused',
      'Those of them whose verdict was not allow.',
      ...each(({ refused }) => refused),
    ),
    counter('worker_restarts', 'Times a worker was started again.', ...each(({ restarts }) => restarts)),
    counter(
      'dns_questions',
      'DNS questions of agents, by what became of them; “questions” is all of them.',
      ...dns,
    ),
    counter('dns_forwarder_restarts', 'Times the forwarder was started again.', {
      value: counters['dns.restarts'] ?? 0,
    }),
    gauge('namespaces_served', 'Network namespaces but the daemon’s own with a listener.', {
      value: counters['namespaces.served'] ?? 0,
    }),
    counter('namespaces_opened', 'Network namespaces a listener was opened in.', {
      value: counters['namespaces.opened'] ?? 0,
    }),
    counter('namespaces_refused', 'Network namespaces that got none.', ...namespaces),
  ];
}

function store({ store: health, counters }: Status): Family[] {
  return [
    gauge('store_degraded', '1: records cannot be stored now.', { value: Number(!health.ok) }),
    gauge('store_records', 'Records stored.', { value: health.rows }),
    gauge('store_bytes', 'Size of the store.', { value: health.bytes }),
    gauge('store_backlog', 'Records that wait to be stored.', { value: counters['store.backlog'] ?? 0 }),
    counter('store_dropped', 'Records that could not be stored.', { value: health.dropped }),
    counter('store_errors', 'Times storing failed.', { value: counters['store.errors'] ?? 0 }),
    counter('flow_log_dropped', 'Lines the reader of standard output was too slow for.', {
      value: counters['flow_log.dropped'] ?? 0,
    }),
  ];
}
