/** Whether what a worker or the forwarder sent is a question about a name, or an answer: both read hostile bytes. */
import { isIP } from 'node:net';
import { is, isU32, orNull, shape } from '../core/claim.ts';
import { normaliseDnsName } from '../core/dns-name.ts';
import type { NameAnswer, NameQuestion } from '../proxy/ipc.ts';

const question = {
  type: is('name'),
  question: isU32,
  agentId: isU32,
  ip: (value: unknown) => typeof value === 'string' && isIP(value) !== 0,
};
const isName = (value: unknown): boolean => typeof value === 'string' && normaliseDnsName(value) === value;

export const isNameQuestion = shape<NameQuestion>(question);

export const isNameAnswer = shape<NameAnswer & { readonly worker: number }>({
  ...question,
  name: orNull(isName),
  worker: isU32,
});
