/**
 * Random policies against a second reading of the rules: written from docs/policy.md, on the document and not
 * on the compiled form, with Node's BlockList for addresses. What `decide()` grants must be granted there too.
 */
import { BlockList, isIPv4 } from 'node:net';
import t from 'tap';
import { decide, preparePolicy } from '#src/policy/decide.ts';
import type { DestinationEntry, PolicyDocument, RuleEntry } from '#src/policy/document.ts';
import { matchDestination, viewOf } from '#src/policy/match.ts';
import { PolicyError } from '#src/policy/problems.ts';
import type { CompiledPolicy, ConnectAnswer, FlowQuestion } from '#src/policy/types.ts';
import { policyOf } from '#test/support/policy-text.ts';

const POLICIES = 500;
const QUESTIONS = 12;

/** mulberry32: small, seeded, the same everywhere. */
function randomFrom(seed: number) {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
  const pick = <T>(list: readonly T[]): T => {
    const item = list[Math.floor(next() * list.length)];
    if (item === undefined) throw new Error('picked from an empty list');
    return item;
  };
  const some = <T>(list: readonly T[], share: number): T[] => list.filter(() => next() < share);
  const maybe = <T>(share: number, make: () => T): T | undefined => (next() < share ? make() : undefined);
  return { pick, some, maybe };
}

type Random = ReturnType<typeof randomFrom>;

const AGENTS = ['a', 'b'];
const HOSTS = ['one.org', 'two.org', '*.two.org', 'x.two.org'];
const CIDRS = ['10.0.0.0/8', '10.1.0.0/16', '10.1.1.1', '2001:db8::/32', '0.0.0.0/0', '::/0'];
const IPS = [
  '10.0.0.1',
  '10.1.0.1',
  '10.1.1.1',
  '::ffff:10.1.1.1',
  '192.0.2.1',
  '2001:DB8::1',
  '2001:db9::1',
];
const PORTS = [80, 443, 5432];
const NAMES = ['one.org', 'ONE.org.', 'two.org', 'x.two.org', 'x.x.two.org', 'three.org', null];

function randomDocument(random: Random): PolicyDocument {
  const nonEmpty = <T>(list: T[]): T[] | undefined => (list.length === 0 ? undefined : list);
  const destinations = ['d', 'e', 'f'].map((name) => {
    const protocol = random.maybe(0.7, () => random.pick(['auto', 'http', 'postgres', 'tls'] as const));
    const unread = protocol === 'tls' || protocol === 'postgres';
    return {
      name,
      hosts: random.maybe(unread ? 0.4 : 0.5, () => nonEmpty(random.some(HOSTS, 0.4))),
      cidrs: random.maybe(0.75, () => nonEmpty(random.some(CIDRS, 0.4))),
      ports: random.maybe(0.5, () => nonEmpty(random.some<number | string>([...PORTS, '400-500'], 0.4))),
      protocol,
      tls: random.maybe(unread ? 0.6 : 0.3, () => ({ server_name: random.pick(['one.org', 'fixed.org']) })),
    };
  });
  const rules = ['r', 's', 'u', 'v'].map((name) => {
    const action = random.pick(['allow', 'allow', 'exempt', 'deny'] as const);
    const somewhere = random.maybe(0.85, () => nonEmpty(random.some(['d', 'e', 'f'], 0.5)));
    return {
      name,
      agents: random.maybe(0.4, () => [random.pick(AGENTS)]),
      destinations: somewhere ?? (action === 'exempt' ? ['d'] : undefined),
      action,
      passthrough: action === 'allow' ? random.maybe(0.3, () => true) : undefined,
      replication: action === 'deny' ? undefined : random.maybe(0.4, () => true),
      reason: 'because',
    };
  });
  const agents = AGENTS.map((name, uid) => ({ name, match: [{ uid: uid + 1 }] }));
  // JSON drops what is undefined, and is YAML.
  return JSON.parse(JSON.stringify({ agents, destinations, rules }));
}

function compile(document: PolicyDocument): CompiledPolicy | null {
  try {
    return policyOf(`agents: ${JSON.stringify(document.agents)}
destinations: ${JSON.stringify(document.destinations)}
rules: ${JSON.stringify(document.rules)}`);
  } catch (error) {
    // Random policies are often refused; those that are not must be safe.
    if (error instanceof PolicyError) return null;
    throw error;
  }
}

const SEEN: FlowQuestion['seen'][] = NAMES.flatMap((name) => [
  { protocol: 'http', agentTls: false, name },
  { protocol: 'tls', agentTls: true, name },
  { protocol: 'postgres', agentTls: false, name },
  { protocol: 'postgres', agentTls: false, name, replication: true },
  { protocol: 'unknown', agentTls: false, name },
]);

const BLOCKS = new Map(
  CIDRS.map((cidr) => {
    const [address = '', length] = cidr.split('/');
    const list = new BlockList();
    if (length === undefined) list.addAddress(address);
    else list.addSubnet(address, Number(length), isIPv4(address) ? 'ipv4' : 'ipv6');
    return [cidr, list];
  }),
);

function addressFits(destination: DestinationEntry, question: FlowQuestion): boolean {
  const { cidrs, ports } = destination;
  if (ports !== undefined) {
    const fits = ports.some((port) => {
      const [low, high = low] = String(port).split('-').map(Number);
      return question.port >= (low ?? 0) && question.port <= (high ?? 0);
    });
    if (!fits) return false;
  }
  if (cidrs === undefined) return true;
  const ip = question.ip.replace(/^::ffff:/, '');
  return cidrs.some((cidr) => {
    const family = isIPv4(cidr.split('/')[0] ?? '') ? 'ipv4' : 'ipv6';
    return isIPv4(ip) === (family === 'ipv4') && BLOCKS.get(cidr)?.check(ip, family) === true;
  });
}

/** Whether a rule with this destination fits, once the first bytes have been seen. */
function fits(rule: RuleEntry, destination: DestinationEntry, question: FlowQuestion): boolean {
  const { seen } = question;
  if (seen === undefined || !addressFits(destination, question)) return false;
  const protocol = destination.protocol ?? 'auto';
  const said =
    seen.agentTls || seen.protocol === 'http' ? seen.name?.toLowerCase().replace(/\.$/, '') : undefined;
  const resolved = question.dnsName?.toLowerCase().replace(/\.$/, '');
  const unread = protocol === 'tls' && (!seen.agentTls || rule.action === 'deny');
  const byDns = rule.action !== 'exempt' && (unread || !seen.agentTls);
  const meant = (unread ? undefined : said) ?? (byDns ? resolved : undefined);
  const named = (destination.hosts ?? []).some((host) =>
    host.startsWith('*.') ? meant !== undefined && meant.replace(/^[^.]+/, '*') === host : meant === host,
  );
  const [only = '', ...more] = destination.hosts ?? [];
  const verifiedOnly =
    more.length === 0 && !only.startsWith('*') && (destination.tls?.server_name ?? only) === only;
  const compared = destination.hosts !== undefined && (['auto', 'http'].includes(protocol) || !verifiedOnly);
  const nameFits = !compared || named;
  // To exempt or wrap whatever comes nothing is read.
  const isRead = protocol === 'postgres' || (protocol === 'auto' && rule.action === 'allow');
  const refused = seen.replication === true && isRead && rule.replication !== true;
  const readAs = ['http', 'postgres'].includes(seen.protocol);
  switch (rule.action) {
    case 'deny':
      return nameFits && (seen.agentTls || ['auto', 'tls', seen.protocol].includes(protocol));
    case 'exempt':
      if (seen.agentTls) return !compared && ['auto', 'tls'].includes(protocol);
      return (
        nameFits &&
        !refused &&
        ['auto', 'tls', seen.protocol].includes(protocol) &&
        (!compared || seen.protocol === 'http')
      );
    case 'allow':
      if (seen.agentTls) return rule.passthrough === true && (destination.hosts === undefined || named);
      return (
        nameFits && !refused && (protocol === 'tls' || (readAs && ['auto', seen.protocol].includes(protocol)))
      );
  }
}

interface Fit {
  readonly rule: RuleEntry;
  readonly destination: DestinationEntry;
}

function allFits(document: PolicyDocument, question: FlowQuestion): Fit[] {
  const out: Fit[] = [];
  for (const rule of document.rules ?? []) {
    if (rule.agents !== undefined && !rule.agents.includes(question.agent ?? '')) continue;
    if (question.agent === null && rule.action !== 'deny') continue;
    const names = rule.destinations ?? ['*'];
    for (const name of names) {
      const destination = document.destinations?.find((entry) => entry.name === name) ?? { name: '*' };
      if (fits(rule, destination, question)) out.push({ rule, destination });
    }
  }
  return out;
}

/** What is wrong with an answer; null when it is as the second reading has it. */
function objection(document: PolicyDocument, question: FlowQuestion, answer: ConnectAnswer): string | null {
  const found = allFits(document, question);
  const denied = found.find(({ rule }) => rule.action === 'deny');
  const first = found.find(({ rule }) => rule.action !== 'deny');
  if (answer.kind === 'inspect') return 'asked to look again';
  if (denied !== undefined)
    return answer.kind === 'deny' && answer.code === 'policy_denied' ? null : 'should be denied';
  if (answer.kind === 'deny') {
    if (first === undefined) return answer.code === 'policy_denied' ? 'denied by no rule' : null;
    return answer.code === 'name_required' && answer.rule === first.rule.name && !hasName(first, question)
      ? null
      : 'should be allowed';
  }
  if (first === undefined) return 'nothing allows it';
  if (answer.rule !== first.rule.name || answer.destination.name !== first.destination.name)
    return 'another rule comes first';
  const mode =
    first.rule.action === 'exempt' ? 'exempt' : question.seen?.agentTls ? 'passthrough' : 'upgrade';
  if (answer.mode !== mode) return `should be ${mode}`;
  if ((answer.serverName !== null) !== (mode === 'upgrade')) return 'a name exactly when TLS is added';
  const fixed = first.destination.tls?.server_name;
  return mode === 'upgrade' && fixed !== undefined && answer.serverName?.name !== fixed
    ? 'verifies another name'
    : null;
}

function hasName({ destination }: Fit, question: FlowQuestion): boolean {
  const literal = destination.hosts?.length === 1 && !destination.hosts[0]?.startsWith('*');
  const said = question.seen?.protocol === 'http' && question.seen.name !== null;
  const resolved = typeof question.dnsName === 'string';
  return (
    destination.tls !== undefined || literal === true || (said && destination.protocol !== 'tls') || resolved
  );
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freeze);
  }
  return value;
}

interface Case {
  readonly document: PolicyDocument;
  readonly policy: CompiledPolicy;
  readonly questions: readonly FlowQuestion[];
}

function makeCases(): Case[] {
  const out: Case[] = [];
  for (let seed = 1; seed <= POLICIES; seed += 1) {
    const random = randomFrom(seed);
    const document = randomDocument(random);
    const policy = compile(document);
    if (policy === null) continue;
    const questions = Array.from({ length: QUESTIONS }, () => ({
      agent: random.pick([...AGENTS, null]),
      ip: random.pick(IPS),
      port: random.pick(PORTS),
      dnsName: random.pick(NAMES),
    }));
    out.push({ document, policy, questions });
  }
  return out;
}

const CASES = makeCases();

/** The first few of what went wrong. */
function collect(check: (one: Case) => string[]): string[] {
  const bad: string[] = [];
  for (const one of CASES) {
    if (bad.length < 5) bad.push(...check(one));
  }
  return bad.slice(0, 5);
}

t.test('random policies: each answer is the one a second reading gives', (t) => {
  const kinds = new Map<string, number>();
  const bad = collect(({ document, policy, questions }) => {
    const prepared = preparePolicy(policy);
    return questions.flatMap((asked) =>
      SEEN.flatMap((seen) => {
        const question: FlowQuestion = seen === undefined ? asked : { ...asked, seen };
        const answer = decide(prepared, question);
        const kind =
          answer.kind === 'allow' ? answer.mode : answer.kind === 'deny' ? answer.code : answer.kind;
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        const wrong = objection(document, question, answer);
        return wrong === null ? [] : [`${wrong}: ${JSON.stringify({ document, question, answer })}`];
      }),
    );
  });
  t.strictSame(bad, []);
  t.ok(CASES.length > 100, `${CASES.length} policies were valid`);
  for (const kind of [
    'upgrade',
    'passthrough',
    'exempt',
    'policy_denied',
    'no_rule',
    'undetected',
    'agent_tls_denied',
    'replication_denied',
    'name_required',
  ]) {
    t.ok((kinds.get(kind) ?? 0) > 50, `${kind}: ${kinds.get(kind)} times`);
  }
  t.end();
});

t.test('random policies: an answer at connect time holds whatever the agent then says', (t) => {
  const counts = { allow: 0, deny: 0, inspect: 0 };
  const bad = collect(({ document, policy, questions }) => {
    const prepared = preparePolicy(policy);
    return questions.flatMap((question) => {
      const early = decide(prepared, question);
      counts[early.kind] += 1;
      const late = SEEN.flatMap((seen) =>
        seen === undefined ? [] : [{ seen, answer: decide(prepared, { ...question, seen }) }],
      );
      const wrong = late.filter(({ seen, answer }) => {
        if (early.kind === 'inspect') return false;
        // TLS of the agent's own is not looked for where everything is wrapped, or would be if it had a name.
        const unread = early.kind === 'deny' ? early.code === 'name_required' : early.mode === 'upgrade';
        if (seen.agentTls && unread) return false;
        if (early.kind === 'deny') return answer.kind !== 'deny';
        return JSON.stringify(answer) !== JSON.stringify(early);
      });
      return wrong.map(({ seen, answer }) => JSON.stringify({ document, question, early, seen, answer }));
    });
  });
  t.strictSame(bad, []);
  for (const [kind, count] of Object.entries(counts)) t.ok(count > 50, `${kind}: ${count} times`);
  t.end();
});

t.test('random policies: pure, and the same over JSON', (t) => {
  const bad = collect(({ policy, questions }) => {
    // In frozen data every attempt to change something throws.
    const frozen = preparePolicy(freeze(policy));
    const copied = preparePolicy(JSON.parse(JSON.stringify(policy)));
    return questions.flatMap((asked, i) => {
      const seen = SEEN[i % SEEN.length];
      const question = freeze<FlowQuestion>(seen === undefined ? asked : { ...asked, seen: { ...seen } });
      const answers = [frozen, frozen, copied].map((prepared) => JSON.stringify(decide(prepared, question)));
      return new Set(answers).size === 1 ? [] : answers;
    });
  });
  t.strictSame(bad, []);
  t.end();
});

t.test('words for each way of missing', (t) => {
  const policy = preparePolicy(
    policyOf(`
agents: [{name: a, match: [{uid: 1}]}]
destinations: [{name: d, hosts: [a.org], cidrs: [10.0.0.0/8], ports: [80], protocol: http}]
rules: [{name: r, destinations: [d], action: allow}]`),
  );
  const [rule] = policy.rules;
  const match = (question: Partial<FlowQuestion>): string | undefined => {
    const [destination] = rule?.destinations ?? [];
    if (rule === undefined || destination === undefined) return undefined;
    return matchDestination(
      rule.source,
      destination,
      viewOf({ agent: 'a', ip: '10.0.0.1', port: 80, ...question }),
    );
  };
  t.equal(match({ port: 81 }), 'port');
  t.equal(match({ ip: '11.0.0.1' }), 'address');
  t.equal(match({ ip: 'nonsense' }), 'address');
  t.equal(match({}), 'maybe');
  t.equal(match({ seen: { protocol: 'http', agentTls: false, name: 'a.org' } }), 'yes');
  t.equal(match({ seen: { protocol: 'http', agentTls: false, name: 'b.org' } }), 'name');
  t.equal(match({ seen: { protocol: 'http', agentTls: false, name: null } }), 'no-name');
  t.equal(match({ seen: { protocol: 'postgres', agentTls: false, name: null } }), 'protocol');
  t.equal(match({ seen: { protocol: 'opaque', agentTls: false, name: null } }), 'undetected');
  t.equal(match({ seen: { protocol: 'tls', agentTls: true, name: 'a.org' } }), 'agent-tls');
  t.end();
});
