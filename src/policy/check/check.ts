/** The checks of meaning, which run even where the form is wrong, so that everything is reported at once. */
import type { PolicyFiles } from '../files.ts';
import type { Report } from '../report.ts';
import { checkAgents } from './agents.ts';
import { Cursor } from './cursor.ts';
import { checkDestinations } from './destinations.ts';
import { checkInbound } from './inbound.ts';
import { checkMasks } from './masks.ts';
import { checkOperations } from './operations.ts';
import { checkRules } from './rules.ts';
import { checkSettings } from './settings.ts';

/** `nowMs` (Unix epoch) is for certificates out of their time, which are warnings. */
export function checkMeaning(report: Report, document: unknown, files: PolicyFiles, nowMs: number): void {
  const root = new Cursor(report, document);
  checkSettings(root);
  checkAgents(root.get('agents'));
  checkDestinations(root.get('destinations'), files, nowMs);
  checkRules(root);
  checkOperations(root);
  checkMasks(root, files);
  checkInbound(root);
}
