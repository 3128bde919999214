/**
 * Checks inbound rules: that the agents exist, that ports and addresses can be read, and that what an agent is
 * given fits the kernel's table. A rule that was left out there would refuse; one that was cut short would too, and
 * neither would be seen before somebody was missed.
 */

import { parseCidr } from '../address.ts';
import { compileInbound } from '../compile.ts';
import type { InboundEntry } from '../document.ts';
import { INBOUND_MAX, inboundSize } from '../inbound.ts';
import { unknownHint } from '../nearest.ts';
import { type Cursor, checkUniqueNames } from './cursor.ts';
import { checkPorts, checkValues } from './destinations.ts';

export function checkInbound(root: Cursor): void {
  const rules = root.get('inbound');
  checkUniqueNames(rules, 'inbound rule');
  const agents = root
    .get('agents')
    .items()
    .flatMap((entry) => entry.get('name').text ?? []);
  const sizes = new Map<string, number>();
  const ids = new Map<number, string>();
  for (const rule of rules.items()) {
    checkAgents(rule.get('agents'), agents);
    checkPorts(rule.get('ports'));
    checkValues(rule.get('from'), parseCidr);
    if (!rule.clean) continue;
    checkId(rule, ids);
    checkSize(rule, sizes);
  }
}

function checkAgents(list: Cursor, known: readonly string[]): void {
  for (const item of list.items()) {
    if (item.text === null || known.includes(item.text)) continue;
    item.error(`there is no agent "${item.text}"`, unknownHint(item.text, known, 'agent'));
  }
}

/** Records name the rule by an id that follows from its name. */
function checkId(rule: Cursor, ids: Map<number, string>): void {
  const { id, name } = compileInbound(rule.value as InboundEntry);
  const other = ids.get(id);
  if (other !== undefined && other !== name)
    rule.get('name').error(`has the same id as "${other}"`, 'ids follow from names: rename one of the two');
  ids.set(id, name);
}

function checkSize(rule: Cursor, sizes: Map<string, number>): void {
  const compiled = compileInbound(rule.value as InboundEntry);
  for (const agent of new Set(compiled.agents)) {
    const size = (sizes.get(agent) ?? 0) + inboundSize(compiled);
    sizes.set(agent, size);
    if (size <= INBOUND_MAX) continue;
    rule.error(
      `"${agent}" has ${size} combinations of ports and addresses by its inbound rules so far, and ${INBOUND_MAX} are possible`,
      'use ranges: of ports ("8000-8010") and of addresses (192.0.2.0/24)',
    );
    return;
  }
}
