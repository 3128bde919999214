/**
 * Which masks hold for a flow. Pure, like decide(); as with rules about operations it is settled once, with the connect
 * decision, by agent, address and port.
 */
import { contentRules } from './content-rules.ts';
import type { PreparedPolicy } from './prepare.ts';
import type { CompiledMask, FlowQuestion } from './types.ts';

/** In the order of the document. */
export function maskRules(policy: PreparedPolicy, question: FlowQuestion): readonly CompiledMask[] {
  return contentRules(policy.masks, question);
}

export function masksDirection(mask: CompiledMask, direction: 'requests' | 'responses'): boolean {
  return mask.direction === 'both' || mask.direction === direction;
}
