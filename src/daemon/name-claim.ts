/** Whether what a worker or the forwarder sent is a question about a name, or an answer: both read hostile bytes. */
import { isIP } from 'node:net';
import { normaliseDnsName } from '../core/dns-name.ts';
import type { NameAnswer, NameQuestion } from '../proxy/ipc.ts';

type Claim = Readonly<Record<string, unknown>>;

export const isU32 = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32;

export function isNameQuestion(claim: Claim): claim is Claim & NameQuestion {
  const { type, question, agentId, ip } = claim;
  return type === 'name' && isU32(question) && isU32(agentId) && typeof ip === 'string' && isIP(ip) !== 0;
}

export function isNameAnswer(claim: Claim): claim is Claim & NameAnswer & { readonly worker: number } {
  const { name, worker } = claim;
  const named = name === null || (typeof name === 'string' && normaliseDnsName(name) === name);
  return isNameQuestion(claim) && named && isU32(worker);
}
