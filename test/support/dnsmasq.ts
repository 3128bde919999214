/** dnsmasq as the name server of the far side: what it was asked stands in its log. */
import { type Running, until } from './command.ts';
import type { Namespace } from './network.ts';

export class Dnsmasq {
  readonly #process: Running;

  private constructor(process: Running) {
    this.#process = process;
  }

  /** @param records options of dnsmasq(8): `--host-record=…`, `--cname=…`, … */
  static async start(netns: Namespace, address: string, records: readonly string[]): Promise<Dnsmasq> {
    const process = netns.start([
      'dnsmasq',
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      '--no-resolv',
      '--no-hosts',
      '--no-daemon',
      '--bind-interfaces',
      `--listen-address=${address}`,
      '--except-interface=lo',
      '--user=root',
      '--pid-file=',
      '--log-queries=extra',
      '--log-facility=-',
      '--local=/test/',
      ...records,
    ]);
    await process.waitFor((r) => /started, version/.test(r.stderr));
    return new Dnsmasq(process);
  }

  /** Lines such as `query[A] shop.test from 10.198.1.1`, in order. */
  get queries(): string[] {
    return [...this.#process.stderr.matchAll(/(query\[[^\n]*)/g)].map((match) => match[1] ?? '');
  }

  waitForQuery(fits: (line: string) => boolean): Promise<string> {
    return until('a query at dnsmasq', () => this.queries.find(fits));
  }

  async stop(): Promise<void> {
    this.#process.assertAlive();
    await this.#process.stop('SIGTERM');
  }
}
