/** All targets of the fuzzer. */
import type { Target } from '../target.ts';
import { GATE_TARGETS } from './gate.ts';
import { REQUEST_TARGETS } from './masked-requests.ts';
import { SESSION_TARGETS } from './masked-session.ts';
import { MASK_TARGETS } from './masks.ts';
import { POLICY_TARGETS } from './policy.ts';
import { READERS } from './readers.ts';
import { STATEMENT_TARGETS } from './statements.ts';

export const TARGETS: readonly Target[] = [
  ...READERS,
  ...POLICY_TARGETS,
  ...MASK_TARGETS,
  ...STATEMENT_TARGETS,
  ...GATE_TARGETS,
  ...SESSION_TARGETS,
  ...REQUEST_TARGETS,
];
