/** Checks rules about operations: that the names in them exist, and that they are about servers whose protocol is read. */
import type { DestinationEntry } from '../document.ts';
import { type Cursor, checkUniqueNames } from './cursor.ts';
import { isReachedByName } from './destinations.ts';
import { checkReferences, destinationsOf, namesOf } from './rules.ts';

export function checkOperations(root: Cursor): void {
  const rules = root.get('operations');
  checkUniqueNames(rules, 'rule about operations');
  for (const rule of rules.items()) {
    checkReadDestinations(root, rule, 'operations', 'a rule about operations');
    const action = rule.get('action').text;
    if (action !== null && action !== 'hold' && rule.get('hold').present)
      rule.get('hold').error('`hold` has no meaning without `action: hold`', 'leave it out');
  }
}

/**
 * Checks agents and destinations of a rule about the content of flows.
 * @param content what of a flow must be read for it. @param what the rule is called
 */
export function checkReadDestinations(root: Cursor, rule: Cursor, content: string, what: string): void {
  const destinations = destinationsOf(root);
  checkReferences(rule.get('agents'), namesOf(root.get('agents')), 'agent');
  checkReferences(rule.get('destinations'), [...destinations.keys()], 'destination');
  for (const item of rule.get('destinations').items()) {
    const destination = destinations.get(item.text ?? '');
    if (destination?.clean) checkDestination(item, destination.value as DestinationEntry, content, what);
  }
}

function checkDestination(at: Cursor, destination: DestinationEntry, content: string, what: string): void {
  if (destination.protocol !== 'postgres') {
    const hint = `say \`protocol: postgres\` in "${destination.name}"; no other protocol's ${content} are read`;
    at.error(`the ${content} of "${destination.name}" are not read`, hint);
  } else if (isReachedByName(destination) && destination.cidrs === undefined) {
    // The name is one that the agent resolved, or none: by another resolver the rule would be passed.
    at.error(
      `${what} needs \`cidrs\` in "${destination.name}"`,
      `give the destination "${destination.name}" \`cidrs\`: its name is one that was resolved, or none`,
    );
  }
}
