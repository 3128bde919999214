/**
 * Checks rules: that the names in them exist, and that no rule trusts a name the agent merely says. Where
 * Sluice adds TLS the server's certificate proves the name; with `exempt` and `passthrough` nothing does, so there
 * the addresses must be given.
 */
import type { DestinationEntry, RuleEntry } from '../document.ts';
import { unknownHint } from '../nearest.ts';
import { type Cursor, checkUniqueNames } from './cursor.ts';
import { isReachedByName } from './destinations.ts';

export function checkRules(root: Cursor): void {
  const rules = root.get('rules');
  checkUniqueNames(rules, 'rule');
  const agents = namesOf(root.get('agents'));
  const destinations = destinationsOf(root);
  for (const rule of rules.items()) {
    checkReferences(rule.get('agents'), agents, 'agent');
    checkReferences(rule.get('destinations'), [...destinations.keys()], 'destination');
    if (rule.clean) checkWhole(rule, destinations);
  }
}

/** By name. */
export function destinationsOf(root: Cursor): Map<string, Cursor> {
  const entries = root.get('destinations').items();
  const destinations = new Map(entries.map((entry) => [entry.get('name').text ?? '', entry] as const));
  destinations.delete('');
  return destinations;
}

export function namesOf(list: Cursor): string[] {
  return list.items().flatMap((entry) => entry.get('name').text ?? []);
}

export function checkReferences(list: Cursor, known: readonly string[], what: string): void {
  const names = new Set(known);
  for (const item of list.items()) {
    if (item.text === null || names.has(item.text)) continue;
    item.error(`there is no ${what} "${item.text}"`, unknownHint(item.text, known, what));
  }
}

function checkWhole(rule: Cursor, destinations: ReadonlyMap<string, Cursor>): void {
  const entry = rule.value as RuleEntry;
  if (entry.passthrough === true && entry.action !== 'allow') {
    const hint = entry.action === 'exempt' ? '`exempt` lets any bytes go, TLS too' : 'leave it out';
    rule.get('passthrough').error(`\`passthrough\` has no meaning with \`action: ${entry.action}\``, hint);
  }
  if (entry.replication === true && entry.action === 'deny') {
    rule.get('replication').error('`replication` has no meaning with `action: deny`', 'leave it out');
  }
  if (entry.action === 'exempt' && entry.destinations === undefined) {
    rule.error('an exempt rule needs `destinations`', 'plain text leaves only for addresses that are named');
  }
  for (const item of rule.get('destinations').items()) {
    const destination = destinations.get(item.text ?? '');
    if (destination?.clean) checkAddressed(item, entry, destination.value as DestinationEntry);
  }
}

/** Reports a destination that this rule reaches by a name nothing proves. */
function checkAddressed(at: Cursor, rule: RuleEntry, destination: DestinationEntry): void {
  const named = destination.hosts !== undefined;
  const unread = destination.protocol === 'tls' || destination.protocol === 'postgres';
  if (rule.action === 'exempt' && unread && isReachedByName(destination)) {
    at.error(
      `an exempt rule cannot go by the \`hosts\` of "${destination.name}"`,
      'what the agent resolved is proved by nothing in plain text: leave `hosts` out, `cidrs` say where',
    );
    return;
  }
  if (destination.cidrs !== undefined) return;
  const hint = `give the destination "${destination.name}" \`cidrs\``;
  if (rule.action === 'exempt') {
    at.error(
      `an exempt rule needs \`cidrs\` in "${destination.name}"`,
      `${hint}: a Host header is only the agent's word`,
    );
  } else if (rule.passthrough === true && named) {
    at.error(
      `\`passthrough\` needs \`cidrs\` in "${destination.name}"`,
      `${hint}: the name in a ClientHello is only the agent's word`,
    );
  } else if (rule.action === 'deny' && named && unread) {
    at.error(
      `a deny rule needs \`cidrs\` in "${destination.name}"`,
      `${hint}: with \`protocol: ${destination.protocol}\` the name is one that was resolved, or none`,
    );
  }
}
