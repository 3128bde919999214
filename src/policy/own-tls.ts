/**
 * Whether an agent that asks for TLS in PostgreSQL's words (SSLRequest) may have its own, from end to end. Asked before its
 * ClientHello is there, so a name that must fit is still to come: `decide()` has the last word, with what the agent then says.
 *
 * Who asks may go on in plain text all the same, if it is refused (`sslmode=prefer`). So the first rule that fits either of the two
 * settles it: an `allow` without `passthrough` before one that has it keeps those who can do without their own TLS where
 * Sluice adds it, and verifies the server.
 */
import { maskRules } from './masks.ts';
import { matchDestination, viewOf } from './match.ts';
import { operationRules } from './operations.ts';
import type { PreparedPolicy } from './prepare.ts';
import type { FlowQuestion } from './types.ts';

export function mayHaveOwnTls(policy: PreparedPolicy, asked: FlowQuestion): boolean {
  const inTls: FlowQuestion = { ...asked, seen: { protocol: 'postgres', agentTls: true, name: null } };
  // What nobody can read keeps no rule about what is inside.
  if (operationRules(policy, inTls).length > 0 || maskRules(policy, inTls).length > 0) return false;
  const own = viewOf(inTls);
  const plain = viewOf({ ...asked, seen: { protocol: 'postgres', agentTls: false, name: null } });
  const { denies, grants } = policy.rulesFor(asked.agent);
  for (const { source, destinations } of denies) {
    const views = [own, plain];
    if (destinations.some((to) => views.some((view) => matchDestination(source, to, view) === 'yes')))
      return false;
  }
  for (const { source, destinations } of grants) {
    for (const destination of destinations) {
      const match = matchDestination(source, destination, own);
      const may = match === 'yes' || match === 'no-name';
      if (may || matchDestination(source, destination, plain) === 'yes')
        return may && source.action === 'allow';
    }
  }
  return false;
}
