/** Which opener a granted flow takes. */
import type { Granted } from '../../policy/types.ts';
import type { Recognised } from '../recognise.ts';
import { openExempt } from './exempt.ts';
import type { Opener } from './opener.ts';
import { openPassthrough } from './passthrough.ts';
import { openPostgres } from './postgres.ts';
import { openUpgrade } from './upgrade.ts';

export function openerFor(grant: Granted, recognised: Recognised | null): Opener {
  if (grant.mode === 'exempt') return openExempt;
  if (grant.mode === 'passthrough') return openPassthrough;
  // A destination of protocol `tls` has its TLS before everything else, whatever is spoken inside.
  const inside = recognised?.protocol === 'postgres' && grant.destination.protocol !== 'tls';
  return inside ? openPostgres : openUpgrade;
}
