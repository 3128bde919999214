/** All built-in detectors. */
import type { DetectorName } from '../../policy/detectors.ts';
import type { Detector } from '../detector.ts';
import { card } from './card.ts';
import { email } from './email.ts';
import { iban } from './iban.ts';
import { jwt } from './jwt.ts';
import { privateKey } from './private-key.ts';
import { usSsn } from './us-ssn.ts';

/** By name, so that there is one for each that a policy may say. */
const BY_NAME: Readonly<Record<DetectorName, Detector>> = {
  card,
  iban,
  'us-ssn': usSsn,
  email,
  jwt,
  'private-key': privateKey,
};

export const BUILT_IN: readonly Detector[] = Object.values(BY_NAME);
