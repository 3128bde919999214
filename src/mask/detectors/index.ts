/** All built-in detectors. */
import type { DetectorName } from '../../policy/detectors.ts';
import type { Detector } from '../detector.ts';
import { card } from './card.ts';
import { awsKey, azureKey } from './cloud-keys.ts';
import { email } from './email.ts';
import { iban } from './iban.ts';
import { ipv4, ipv6 } from './ip.ts';
import { jwt } from './jwt.ts';
import { phone } from './phone.ts';
import { privateKey } from './private-key.ts';
import {
  aiKey,
  gcpKey,
  githubToken,
  gitlabToken,
  npmToken,
  pypiToken,
  serviceToken,
  slackToken,
  stripeKey,
} from './tokens.ts';
import { urlPassword } from './url-password.ts';
import { usSsn } from './us-ssn.ts';

/** By name, so that there is one for each that a policy may say. */
const BY_NAME: Readonly<Record<DetectorName, Detector>> = {
  card,
  iban,
  'us-ssn': usSsn,
  email,
  phone,
  ipv4,
  ipv6,
  jwt,
  'private-key': privateKey,
  'url-password': urlPassword,
  'aws-key': awsKey,
  'gcp-key': gcpKey,
  'azure-key': azureKey,
  'github-token': githubToken,
  'gitlab-token': gitlabToken,
  'slack-token': slackToken,
  'stripe-key': stripeKey,
  'npm-token': npmToken,
  'pypi-token': pypiToken,
  'ai-key': aiKey,
  'service-token': serviceToken,
};

export const BUILT_IN: readonly Detector[] = Object.values(BY_NAME);
