/** One long download by curl. The unit is the byte. */
import { BULK_PATH } from '../servers.ts';
import type { Workload } from '../types.ts';
import { firstEndpoint, runLoad } from './load.ts';

const WARM_UP_BYTES = 64 * 1024 * 1024;

export const bulk: Workload = {
  name: 'bulk',
  service: 'http',
  warmedBy: null,
  async run(world, contender, effort, warmUp) {
    const { host, port, tls } = firstEndpoint(contender, 'http');
    const bytes = warmUp ? Math.min(WARM_UP_BYTES, effort.bulkBytes) : effort.bulkBytes;
    // The name stands in the URL, as Host and SNI want it; where it leads is said beside it.
    const { stdout } = await runLoad(world, contender, [
      ...['curl', '--silent', '--show-error', '--fail', '--cacert', world.caFile, '--output', '/dev/null'],
      ...['--range', `0-${bytes - 1}`, '--connect-to', `::${host}:${port}`],
      ...['--write-out', '%{size_download} %{time_total}'],
      `${tls ? 'https' : 'http'}://${world.serverName}${BULK_PATH}`,
    ]);
    const [amount, seconds] = stdout.trim().split(' ').map(Number);
    if (amount !== bytes || seconds === undefined) throw new Error(`curl got ${amount} bytes of ${bytes}`);
    return { amount, seconds, p50Us: null, p99Us: null, errors: 0 };
  },
};
