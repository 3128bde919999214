/**
 * Masks between a client and a real server, without kernel plane and TLS: what a worker's relay does with the filters of a
 * flow, over two Unix sockets.
 */
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { systemClock } from '#src/core/clock.ts';
import type { CompiledMask } from '#src/policy/types.ts';
import { StartupReader } from '#src/protocols/postgres/startup.ts';
import { NO_APPROVER } from '#src/proxy/approver.ts';
import { readInLayers } from '#src/proxy/layers.ts';
import { Catalogs, maskFlow } from '#src/proxy/masking.ts';
import { governOperations } from '#src/proxy/operations.ts';
import type { ByteFilter } from '#src/proxy/relay.ts';
import { engineOf } from './masks.ts';

interface Filters {
  readonly agentFilter: ByteFilter;
  readonly serverFilter: ByteFilter;
}

export class MaskingProxy {
  /** Where its socket is. */
  readonly dir: string;
  /** Why flows ended that were ended here. */
  readonly errors: string[] = [];
  readonly #server: Server;

  private constructor(dir: string, server: Server) {
    this.dir = dir;
    this.#server = server;
  }

  /** @param dir where its socket is to be. @param upstream the server's socket */
  static async start(dir: string, upstream: string, masks: readonly CompiledMask[]): Promise<MaskingProxy> {
    const engine = engineOf(masks);
    const catalogs = new Catalogs(systemClock);
    const server = createServer({ allowHalfOpen: true });
    const proxy = new MaskingProxy(dir, server);
    server.on('connection', (client) => {
      // The start-up packet of libpq comes in one piece.
      client.once('data', (first: Buffer) => {
        client.pause();
        const filters = filtersOf(first, masks, engine, catalogs);
        proxy.#carry(client, createConnection({ path: upstream, allowHalfOpen: true }), first, filters);
      });
    });
    await new Promise<void>((resolve) => server.listen(join(dir, '.s.PGSQL.5432'), resolve));
    return proxy;
  }

  #carry(client: Socket, server: Socket, first: Buffer, { agentFilter, serverFilter }: Filters): void {
    const end = (error: unknown): void => {
      if (error instanceof Error) this.errors.push(error.message);
      client.destroy();
      server.destroy();
    };
    const pass = (filter: ByteFilter, to: Socket, back: Socket) => (chunk: Buffer) => {
      try {
        for (const part of filter.push(chunk)) to.write(Buffer.from(part));
        for (const part of filter.back?.() ?? []) back.write(Buffer.from(part));
      } catch (error) {
        end(error);
      }
    };
    const up = pass(agentFilter, server, client);
    up(first);
    client.on('data', up).on('error', end);
    server.on('data', pass(serverFilter, client, server)).on('error', end);
    client.on('end', () => server.end());
    server.on('end', () => client.end());
    client.resume();
  }

  async stop(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function filtersOf(
  first: Buffer,
  masks: readonly CompiledMask[],
  engine: ReturnType<typeof engineOf>,
  catalogs: Catalogs,
): Filters {
  const reader = new StartupReader();
  const opening = reader.push(first).at(-1);
  if (opening?.kind !== 'startup') throw new Error('no start-up of a session');
  const recognised = { protocol: 'postgres', opening, rest: reader.rest() } as const;
  const masked = maskFlow({ masks, engine, catalogs, recognised, agentTls: false, server: 's' });
  const none = { agentHead: null, serverHead: null, agentFilter: null, serverFilter: null };
  // As a session composes them, without rules about operations.
  const judged = governOperations({
    rules: [],
    recognised,
    agentTls: false,
    approver: NO_APPROVER,
    flow: '00',
    agent: null,
    masks: masked?.statements ?? null,
    shown: null,
  });
  const { agentFilter, serverFilter } = readInLayers(none, judged?.gating ?? null, masked?.reading ?? null);
  if (agentFilter === null || serverFilter === null) throw new Error('the flow cannot be masked');
  return { agentFilter, serverFilter };
}
