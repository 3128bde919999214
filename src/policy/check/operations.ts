/** Checks rules about operations: that the names in them exist, and that they are about servers whose protocol is read. */
import type { DestinationEntry } from '../document.ts';
import { type Cursor, checkUniqueNames } from './cursor.ts';
import { isReachedByName } from './destinations.ts';
import { checkReferences, destinationsOf, namesOf } from './rules.ts';

export function checkOperations(root: Cursor): void {
  const rules = root.get('operations');
  checkUniqueNames(rules, 'rule about operations');
  const agents = namesOf(root.get('agents'));
  const destinations = destinationsOf(root);
  for (const rule of rules.items()) {
    checkReferences(rule.get('agents'), agents, 'agent');
    checkReferences(rule.get('destinations'), [...destinations.keys()], 'destination');
    for (const item of rule.get('destinations').items()) {
      const destination = destinations.get(item.text ?? '');
      if (destination?.clean) checkDestination(item, destination.value as DestinationEntry);
    }
  }
}

function checkDestination(at: Cursor, destination: DestinationEntry): void {
  if (destination.protocol !== 'postgres') {
    const hint = `say \`protocol: postgres\` in "${destination.name}"; no other protocol's operations are read`;
    at.error(`the operations of "${destination.name}" are not read`, hint);
  } else if (isReachedByName(destination) && destination.cidrs === undefined) {
    // The name is one that the agent resolved, or none: by another resolver the rule would be passed.
    at.error(
      `a rule about operations needs \`cidrs\` in "${destination.name}"`,
      `give the destination "${destination.name}" \`cidrs\`: its name is one that was resolved, or none`,
    );
  }
}
