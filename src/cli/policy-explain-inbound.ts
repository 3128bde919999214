/** `sluice policy explain --inbound`: whether an agent may serve somebody, and what each inbound rule says to it. */
import { isIP } from 'node:net';
import { SluiceError } from '../core/errors.ts';
import { explainInbound, type InboundAnswer, type InboundQuestion } from '../policy/inbound.ts';
import type { CompiledPolicy } from '../policy/types.ts';
import type { Cli } from './cli.ts';
import { type Column, formatTable } from './table.ts';
import { painterFor, safeJson, safeText, widthOf } from './terminal.ts';

export interface InboundOptions {
  /** `8080`, `8080/tcp`, `53/udp`. */
  readonly inbound?: string;
  readonly from?: string;
  readonly output: 'table' | 'json';
}

const COLUMNS: readonly Column[] = [
  { title: '' },
  { title: 'RULE', shrinkTo: 12 },
  { title: 'FITS' },
  { title: 'WHY', shrinkTo: 20 },
];

/** `agent` is null for a process that is governed and none of the policy's agents. */
export function explainInboundTo(
  cli: Cli,
  policy: CompiledPolicy,
  agent: string | null,
  options: InboundOptions,
): void {
  const question = questionOf(agent, options);
  const explanation = explainInbound(policy, question);
  if (options.output === 'json') {
    cli.stdout.write(`${safeJson({ question, ...explanation })}\n`);
    return;
  }
  const painter = painterFor(cli.stdout, cli.env);
  const { answer } = explanation;
  const asked = `${question.from} to port ${question.port}/${question.protocol} of agent ${agent ?? 'unknown'}`;
  cli.stdout.write(`${safeText(asked)}\n`);
  cli.stdout.write(`${painter(safeText(describe(answer)), answer.kind === 'deny' ? 'red' : 'green')}\n\n`);
  const rows = explanation.rules.map((rule) => [rule.decisive ? '*' : '', rule.rule, rule.matched, rule.why]);
  cli.stdout.write(formatTable(COLUMNS, rows, widthOf(cli.stdout), painter));
}

function questionOf(agent: string | null, { inbound, from }: InboundOptions): InboundQuestion {
  const match = /^(\d{1,5})(?:\/(tcp|udp))?$/.exec(inbound ?? '');
  const port = Number(match?.[1]);
  if (match === null || port < 1 || port > 65_535)
    throw new SluiceError('CONFIG', '--inbound: a port is needed', { hint: '--inbound 8080, or 53/udp' });
  if (from === undefined || isIP(from) === 0)
    throw new SluiceError('CONFIG', '--from: the address of who asks is needed', {
      hint: '--from 127.0.0.1',
    });
  return { agent, protocol: match[2] === 'udp' ? 'udp' : 'tcp', port, from };
}

function describe(answer: InboundAnswer): string {
  return answer.kind === 'deny'
    ? `denied: ${answer.reason} (inbound_denied)`
    : `allowed by inbound rule ${answer.rule}: the agent answers as it is; ${answer.reason}`;
}
