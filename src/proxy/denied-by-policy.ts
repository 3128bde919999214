/** Thrown where a flow must not go on: by policy, or by what holds whatever policy says. */
import type { Refused } from '../policy/types.ts';

export class DeniedByPolicy extends Error {
  readonly refused: Refused;

  constructor(refused: Refused) {
    super(refused.reason);
    this.refused = refused;
  }
}
