/** One result of 100 columns and very many rows, in text, which the client does not keep. The unit is the byte the client gets. */
import { fileURLToPath } from 'node:url';
import type { Workload } from '../types.ts';
import { selectWide } from '../wide-table.ts';
import { firstEndpoint, runLoad } from './load.ts';

const CLIENT = fileURLToPath(new URL('../rows-client.mjs', import.meta.url));
/** Some 40 MB: for the code that is used to be compiled. */
const WARM_UP_ROWS = 20_000;

interface Got {
  readonly rows: number;
  readonly bytes: number;
  readonly seconds: number;
}

export const rows: Workload = {
  name: 'rows',
  service: 'postgres',
  warmedBy: null,
  async run(world, contender, effort, warmUp) {
    const { host, port, tls } = firstEndpoint(contender, 'postgres');
    const wanted = warmUp ? Math.min(WARM_UP_ROWS, effort.rows) : effort.rows;
    const { stdout } = await runLoad(world, contender, [
      ...[process.execPath, CLIENT, host, String(port), tls ? world.serverName : '-', world.caFile],
      selectWide(wanted),
    ]);
    const got = JSON.parse(stdout) as Got;
    if (got.rows !== wanted) throw new Error(`the client got ${got.rows} rows of ${wanted}`);
    return { amount: got.bytes, seconds: got.seconds, p50Us: null, p99Us: null, errors: 0 };
  },
};
