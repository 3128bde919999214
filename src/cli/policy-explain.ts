/** `sluice policy explain`: what would happen to a flow, and what each rule says to it. Offline but for a DNS look-up. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { type Command, Option } from 'commander';
import { errnoOf, SluiceError } from '../core/errors.ts';
import { type Explanation, explain } from '../policy/explain.ts';
import type { CompiledPolicy, ConnectAnswer, FlowQuestion } from '../policy/types.ts';
import { parseDestination } from '../store/filter.ts';
import { type Cli, outputOption } from './cli.ts';
import { explainInboundTo, type InboundOptions } from './policy-explain-inbound.ts';
import { explainStatement } from './policy-explain-statement.ts';
import { printError, reportError } from './report-error.ts';
import { type Column, formatTable } from './table.ts';
import { painterFor, safeJson, safeText, widthOf } from './terminal.ts';

/** `replication`: PostgreSQL, with a start-up that asks for it. */
const PROTOCOLS = ['http', 'postgres', 'replication', 'tls', 'unknown'] as const;
type ExplainedProtocol = (typeof PROTOCOLS)[number];

interface ExplainOptions extends InboundOptions {
  readonly agent: string;
  readonly to?: string;
  readonly ip?: string;
  readonly protocol?: ExplainedProtocol;
  readonly agentTls?: true;
  readonly statement?: string;
  readonly output: 'table' | 'json';
}

interface Target {
  /** As given; null if an address was given. */
  readonly name: string | null;
  readonly ip: string;
  readonly port: number;
}

export function registerExplain(
  policy: Command,
  cli: Cli,
  read: (file: string) => Promise<CompiledPolicy>,
): void {
  policy
    .command('explain')
    .description('say what would happen to a flow, and why')
    .argument('<file>', 'the policy, YAML')
    .requiredOption('--agent <name>', 'agent that connects')
    .option('--to <host:port>', 'where to; a name is looked up unless --ip is given')
    .addOption(
      new Option(
        '--inbound <port>',
        'instead of --to: whether the agent may serve there; 53/udp for UDP',
      ).conflicts(['to', 'ip', 'protocol', 'agentTls', 'statement']),
    )
    .option('--from <address>', 'with --inbound: who asks to be served')
    .option('--ip <address>', 'address of the name')
    .addOption(new Option('--protocol <protocol>', "what the agent's first bytes are").choices(PROTOCOLS))
    .option('--agent-tls', 'the agent speaks TLS itself (as --protocol tls)')
    .option('--statement <sql>', 'with --to: what is said to this statement inside the flow')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  sluice policy explain policy.yaml --agent billing --to 192.0.2.10:5432
  sluice policy explain policy.yaml --agent shop --to api.example.org:80 --ip 192.0.2.7 --protocol http
  sluice policy explain policy.yaml --agent web --inbound 8080 --from 127.0.0.1
  sluice policy explain policy.yaml --agent billing --to 192.0.2.10:5432 --statement 'DROP TABLE t'

The name is what the agent would have resolved and say in its first bytes (HTTP Host, SNI). Without --protocol, and where the
answer depends on those bytes, it is given for each protocol.

Exit codes: 0 explained, whatever the answer is; 1 the policy has problems or the name no address; 2 wrong use.`,
    )
    .action(async (file: string, options: ExplainOptions) => {
      try {
        const policy = await read(file);
        if (options.inbound === undefined) await explainTo(cli, policy, options);
        else explainInboundTo(cli, policy, knownAgent(cli, policy, options.agent), options);
      } catch (error) {
        cli.exitCode = reportError(cli, error, file);
      }
    });
}

async function explainTo(cli: Cli, policy: CompiledPolicy, options: ExplainOptions): Promise<void> {
  if (options.from !== undefined)
    throw new SluiceError('CONFIG', '--from goes with --inbound', {
      hint: 'leave it out, or give --inbound in place of --to',
    });
  const target = await resolveTarget(options);
  const agent = knownAgent(cli, policy, options.agent);
  const protocol = protocolOf(options);
  if (options.statement !== undefined) {
    if (protocol !== null && protocol !== 'postgres')
      throw new SluiceError('CONFIG', `--statement contradicts --protocol ${protocol}`, {
        hint: 'statements are read in the protocol postgres only',
      });
    const asked = questionFor(agent, target, 'postgres');
    await explainStatement(cli, policy, asked, describe(explain(policy, asked).answer), {
      statement: options.statement,
      output: options.output,
    });
    return;
  }
  const question = questionFor(agent, target, protocol);
  const explanation = explain(policy, question);
  const byProtocol =
    explanation.answer.kind === 'inspect'
      ? PROTOCOLS.map((each) => ({
          protocol: each,
          answer: explain(policy, questionFor(agent, target, each)).answer,
        }))
      : [];
  if (options.output === 'json') {
    cli.stdout.write(
      `${safeJson({ question, ...redact(explanation), byProtocol: byProtocol.map(redact) })}\n`,
    );
  } else {
    print(cli, question, target, explanation, byProtocol);
  }
}

function protocolOf({ agentTls, protocol }: ExplainOptions): ExplainedProtocol | null {
  if (agentTls !== true) return protocol ?? null;
  if (protocol === undefined || protocol === 'tls') return 'tls';
  throw new SluiceError('CONFIG', `--agent-tls contradicts --protocol ${protocol}`, {
    hint: 'leave out one of them',
  });
}

/** Null, as the kernel plane has it, for a process that is governed and none of the policy's agents. */
function knownAgent(cli: Cli, policy: CompiledPolicy, name: string): string | null {
  if (policy.agents.some((agent) => agent.name === name)) return name;
  const names = policy.agents.map((agent) => agent.name).join(', ');
  printError(cli.stderr, `warning: no agent of the policy is named ${name}`, `it has: ${names}`);
  return null;
}

function questionFor(agent: string | null, target: Target, protocol: ExplainedProtocol | null): FlowQuestion {
  const base = { agent, ip: target.ip, port: target.port, dnsName: target.name };
  if (protocol === null) return base;
  if (protocol === 'replication')
    return { ...base, seen: { protocol: 'postgres', agentTls: false, name: null, replication: true } };
  const isNamed = protocol === 'http' || protocol === 'tls';
  const name = isNamed ? target.name : null;
  return { ...base, seen: { protocol, agentTls: protocol === 'tls', name } };
}

async function resolveTarget(options: ExplainOptions): Promise<Target> {
  if (options.to === undefined)
    throw new SluiceError('CONFIG', '--to or --inbound is needed', { hint: '--to db.example.org:5432' });
  const { host, port } = parseDestination(options.to);
  if (host === null || port === null) {
    throw new SluiceError('CONFIG', '--to: host and port are needed', { hint: '--to db.example.org:5432' });
  }
  if (options.ip !== undefined && isIP(options.ip) === 0)
    throw new SluiceError('CONFIG', '--ip: not an IP address', { hint: '192.0.2.7, or 2001:db8::7' });
  if (isIP(host) !== 0) {
    if (options.ip === undefined) return { name: null, ip: host, port };
    throw new SluiceError('CONFIG', '--to names an address already', { hint: 'leave out --ip' });
  }
  return { name: host, ip: options.ip ?? (await addressOf(host)), port };
}

async function addressOf(name: string): Promise<string> {
  try {
    return (await lookup(name)).address;
  } catch (cause) {
    throw new SluiceError('UPSTREAM', `${name} has no address: ${errnoOf(cause) ?? 'look-up failed'}`, {
      cause,
      hint: 'give one with --ip',
    });
  }
}

/** The answer holds the destination whole, with the private key it may have: never printed. */
function redact<T extends { readonly answer: ConnectAnswer }>(value: T): object {
  const { answer } = value;
  if (answer.kind !== 'allow') return value;
  return { ...value, answer: { ...answer, destination: answer.destination.name } };
}

const RULE_COLUMNS: readonly Column[] = [
  { title: '' },
  { title: 'RULE', shrinkTo: 12 },
  { title: 'ACTION' },
  { title: 'FITS' },
  { title: 'WHY', shrinkTo: 20 },
];

const MASK_COLUMNS: readonly Column[] = [
  { title: 'MASK', shrinkTo: 12 },
  { title: 'HOLDS' },
  { title: 'IN' },
  { title: 'WHAT', shrinkTo: 20 },
  { title: 'ACTION', shrinkTo: 8 },
  { title: 'EFFECT' },
];

const PROTOCOL_COLUMNS: readonly Column[] = [{ title: 'FIRST BYTES' }, { title: 'ANSWER', shrinkTo: 30 }];

function print(
  cli: Cli,
  question: FlowQuestion,
  target: Target,
  explanation: Explanation,
  byProtocol: readonly { readonly protocol: string; readonly answer: ConnectAnswer }[],
): void {
  const painter = painterFor(cli.stdout, cli.env);
  const width = widthOf(cli.stdout);
  const ip = question.ip.includes(':') ? `[${question.ip}]` : question.ip;
  const name = target.name === null ? '' : ` (${target.name})`;
  const seen =
    question.seen === undefined
      ? ''
      : `, first bytes ${question.seen.replication === true ? 'replication' : question.seen.protocol}`;
  cli.stdout.write(
    `${safeText(`agent ${question.agent ?? 'unknown'} to ${ip}:${question.port}${name}${seen}`)}\n`,
  );
  const paint =
    explanation.answer.kind === 'deny' ? 'red' : explanation.answer.kind === 'allow' ? 'green' : 'yellow';
  cli.stdout.write(`${painter(safeText(describe(explanation.answer)), paint)}\n\n`);
  if (byProtocol.length > 0) {
    const rows = byProtocol.map(({ protocol, answer }) => [protocol, describe(answer)]);
    cli.stdout.write(`${formatTable(PROTOCOL_COLUMNS, rows, width, painter)}\n`);
  }
  const rules = explanation.rules.map((rule) => [
    rule.decisive ? '*' : '',
    rule.rule,
    rule.action,
    rule.matched,
    rule.why,
  ]);
  cli.stdout.write(formatTable(RULE_COLUMNS, rules, width, painter));
  if (explanation.masks.length === 0) return;
  const masks = explanation.masks.map(({ mask, holds, direction, what, action, effect }) => [
    mask,
    holds ? 'yes' : 'no',
    direction,
    what,
    action,
    effect,
  ]);
  cli.stdout.write(`\n${formatTable(MASK_COLUMNS, masks, width, painter)}`);
}

function describe(answer: ConnectAnswer): string {
  switch (answer.kind) {
    case 'inspect':
      return "undecided: it depends on the agent's first bytes";
    case 'deny': {
      const rule = answer.rule === null ? '' : ` by rule ${answer.rule}`;
      return `denied${rule}: ${answer.reason} (${answer.code})`;
    }
    case 'allow': {
      const how = {
        upgrade: `TLS is added, verified as ${answer.serverName?.name ?? '?'}`,
        passthrough: "the agent's own TLS goes on",
        exempt: 'plain text leaves the host',
      }[answer.mode];
      const to = `destination ${answer.destination.name}, port ${answer.upstreamPort}`;
      return `allowed by rule ${answer.rule}: ${how}; ${to}`;
    }
  }
}
