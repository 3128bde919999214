/** The far side's badly behaved servers (raw-servers-main.ts), as the test sees them. */
import { join } from 'node:path';
import { type Running, until } from './command.ts';
import type { Network } from './network.ts';
import { Pki } from './pki.ts';
import { RAW_TLS_NAME, type RawName } from './raw-ports.ts';

type Recorder = RawName | 'dns' | 'udpEcho';

export class RawServers {
  readonly #process: Running;
  #orders = 0;

  private constructor(process: Running) {
    this.#process = process;
  }

  static async start(network: Network, dir: string, pki: Pki): Promise<RawServers> {
    const trusted = await pki.issue(RAW_TLS_NAME);
    const untrusted = await (await Pki.make(join(dir, 'untrusted'), 'A CA nobody trusts either')).issue(
      RAW_TLS_NAME,
    );
    const main = join(import.meta.dirname, 'raw-servers-main.ts');
    const argv = [process.execPath, main, trusted.cert, trusted.key, untrusted.cert, untrusted.key];
    const servers = network.far.start(argv, { keepStdin: true });
    await servers.waitFor((r) => r.stdout.includes('"ready":true'));
    return new RawServers(servers);
  }

  /** What one of them received: plain for those without TLS, decrypted for the others. */
  async received(name: Recorder): Promise<Buffer> {
    return Buffer.from(String(await this.#order('received', name)), 'base64');
  }

  /** How much that is: for what is too much to look at. */
  async receivedBytes(name: Recorder): Promise<number> {
    return Number(await this.#order('receivedBytes', name));
  }

  /** Connections (for UDP: datagrams) one of them has had; TLS servers count completed handshakes. */
  async connections(name: Recorder): Promise<number> {
    return Number(await this.#order('connections', name));
  }

  /** Lets `slow` read, once somebody is connected to it. */
  async resume(): Promise<void> {
    await until('a connection to `slow`', async () => Number(await this.#order('resume', 'slow')) > 0);
  }

  async stop(): Promise<void> {
    this.#process.assertAlive();
    await this.#process.stop('SIGTERM');
  }

  async #order(what: string, name: Recorder): Promise<unknown> {
    this.#orders += 1;
    const id = this.#orders;
    const find = (): string | undefined =>
      this.#process.stdout.split('\n').find((l) => l.startsWith(`{"id":${id},`));
    this.#process.write(`${JSON.stringify({ id, do: what, name })}\n`);
    await this.#process.waitFor(() => /\}\s*$/.test(find() ?? ''));
    return (JSON.parse(find() ?? '{}') as { value?: unknown }).value;
  }
}
