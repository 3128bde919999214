/** What recognising gives for a PostgreSQL session of user `u`. */
import type { Recognised } from '#src/proxy/recognise.ts';
import { startupMessage } from '#test/support/postgres-packets.ts';

export const STARTUP = startupMessage({ user: 'u' });

export function startup(replication = false, privileged = false): Recognised {
  return {
    protocol: 'postgres',
    opening: {
      kind: 'startup',
      raw: STARTUP,
      user: 'u',
      database: 'u',
      major: 3,
      minor: 0,
      replication,
      privileged,
    },
    rest: Buffer.alloc(0),
  };
}
