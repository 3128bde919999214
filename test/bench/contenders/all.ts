/** Every contender by name. */
import type { Contender, ContenderName } from '../types.ts';
import { direct } from './direct.ts';
import { haproxy } from './haproxy.ts';
import { naive } from './naive.ts';
import { pgbouncer } from './pgbouncer.ts';
import { sluice, sluiceInspect, sluiceMask } from './sluice.ts';
import { stunnel } from './stunnel.ts';

export const contenders: Readonly<Record<ContenderName, Contender>> = {
  direct,
  haproxy,
  naive,
  pgbouncer,
  sluice,
  'sluice-inspect': sluiceInspect,
  'sluice-mask': sluiceMask,
  stunnel,
};
