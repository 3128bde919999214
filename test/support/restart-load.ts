/**
 * What must not notice a restart: agents that connect all the time, a download that lasts, and a database session that
 * stays open; at home, or in a network namespace of their own. Each is an unmodified program; what it saw is what it
 * says at its end.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { FlowRecord } from '#src/flow/record.ts';
import type { Finished, Running } from './command.ts';
import { FAR, type Namespace } from './network.ts';
import { RESPONSE_MARKER } from './nginx.ts';
import { POSTGRES } from './postgres.ts';
import { PYTHON } from './python.ts';
import { RAW_PORTS } from './raw-ports.ts';
import type { TestSluice } from './sluice.ts';
import { AGENTS } from './world-policy.ts';

/** What is asked for; a site of the world's nginx. */
const SHOP = 'shop.test';
const REQUEST_MARKER = 'REQUEST-MARKER-5e1f';
export const LOAD_MARKERS = [REQUEST_MARKER, RESPONSE_MARKER, POSTGRES.rowMarker] as const;
const DOWNLOAD_BYTES = 60_000_000;
const THREADS = 6;

/** Each thread connects, asks and reads its answer, fifty times a second at most. Failures are printed by kind. */
const storm = (over: string, host: string): string => `
import collections, http.client, json, os, threading, time
seen = collections.Counter(); slowest = 0.0; lock = threading.Lock()
def work(number):
    global slowest
    count = 0
    while not os.path.exists(${JSON.stringify(over)}):
        path = f"/secret/${REQUEST_MARKER}-{os.getpid()}-{number}-{count}"; count += 1
        begun = time.monotonic(); kind = "ok"
        try:
            c = http.client.HTTPConnection("${host}", 80, timeout=120)
            c.request("GET", path, headers={"Host": "${SHOP}", "Connection": "close"})
            body = c.getresponse().read()
            if path.encode() not in body: kind = "wrong answer: " + repr(body[:300])
            c.close()
        except Exception as error: kind = repr(error)
        with lock:
            seen[kind] += 1; slowest = max(slowest, time.monotonic() - begun)
        time.sleep(0.02)
threads = [threading.Thread(target=work, args=(n,)) for n in range(${THREADS})]
print("storming", flush=True)
for t in threads: t.start()
for t in threads: t.join()
print(json.dumps({"slowest": slowest, "seen": seen}), flush=True)`;

/**
 * Reads slowly until it is over, so that it is still on its way at every restart; then faster, but not faster than a
 * capture can follow.
 */
const download = (over: string): string => `
import os, socket, time
s = socket.create_connection(("${FAR.ipv4}", ${RAW_PORTS.source}), 120)
s.sendall(b"${DOWNLOAD_BYTES}\\n")
got = len(s.recv(1000)); print("flowing", flush=True)
while chunk := s.recv(20000):
    got += len(chunk)
    time.sleep(0.001 if os.path.exists(${JSON.stringify(over)}) else 0.05)
print("got", got, flush=True)`;

interface StormResult {
  /** Seconds. */
  readonly slowest: number;
  readonly seen: Readonly<Record<string, number>>;
}

/** A program that says its pid first. */
function saysItsPid(argv: readonly string[]): string[] {
  return ['sh', '-c', 'echo "pid $$"; exec "$@"', 'sh', ...argv];
}

function pidOf({ stdout }: Pick<Finished, 'stdout'>): number {
  return Number(/^pid (\d+)$/m.exec(stdout)?.[1]);
}

export interface LoadOptions {
  /** The network namespace of its agents, where that is another than the daemon's. */
  readonly inside?: Pick<Namespace, 'wrap'> | null;
  /** `dns`: each connection is made by name, and each name is asked for by UDP. */
  readonly names?: 'hosts' | 'dns';
}

export class RestartLoad {
  readonly #name: string;
  readonly #over: string;
  readonly #storm: Running;
  readonly #download: Running;
  readonly #session: Running;
  #asked = 0;

  private constructor(
    sluice: TestSluice,
    name: string,
    { inside = null, names = 'hosts' }: LoadOptions = {},
  ) {
    const start = (
      agent: string,
      argv: readonly string[],
      options?: Parameters<TestSluice['start']>[2],
    ): Running => {
      const command = saysItsPid(argv);
      // A question that waits for the next daemon is asked again, and not given up after ten seconds (resolv.conf(5)).
      const env = { RES_OPTIONS: 'attempts:5', ...options?.env };
      return sluice.start(agent, inside === null ? command : inside.wrap(command), {
        ...options,
        env,
        names,
      });
    };
    const shop = names === 'dns' ? SHOP : FAR.ipv4;
    this.#name = name;
    this.#over = join(sluice.world.dir, `${name}-is-over`);
    this.#storm = start(AGENTS.shop, [PYTHON, '-c', storm(this.#over, shop)]);
    this.#download = start(AGENTS.stock, [PYTHON, '-c', download(this.#over)]);
    const url = `host=${POSTGRES.name} user=${POSTGRES.user} dbname=${POSTGRES.database} sslmode=disable`;
    this.#session = start(AGENTS.shop, ['psql', '-XAtq', url], {
      keepStdin: true,
      env: { PGPASSWORD: POSTGRES.password },
    });
  }

  static async start(sluice: TestSluice, name: string, options?: LoadOptions): Promise<RestartLoad> {
    const load = new RestartLoad(sluice, name, options);
    await load.#storm.waitFor((r) => r.stdout.includes('storming'));
    await load.#download.waitFor((r) => r.stdout.includes('flowing'));
    await load.ask();
    return load;
  }

  /** The session that was open before answers still. */
  async ask(): Promise<void> {
    this.#asked += 1;
    const answer = `answer ${this.#asked * 7}.`;
    this.#session.write(`select 'answer ' || ${this.#asked} * 7 || '.';\n`);
    await this.#session.waitFor((r) => r.stdout.includes(answer));
  }

  /** Ends all of them, and asserts that nothing was lost, refused or recorded twice. */
  static async end(t: Test, sluice: TestSluice, ...loads: readonly RestartLoad[]): Promise<void> {
    const checks = await Promise.all(loads.map((load) => load.#end(t)));
    await sluice.atRest();
    const flows = sluice.allStored();
    for (const check of checks) check(flows);
    const ids = sluice.log.map(({ id }) => id);
    t.equal(new Set(ids).size, ids.length, 'no record was written twice');
  }

  /** Gives what is to be asserted of the records when all are there. */
  async #end(t: Test): Promise<(flows: readonly FlowRecord[]) => void> {
    this.#session.endInput();
    writeFileSync(this.#over, '');
    const [storm, download, session] = await Promise.all([
      this.#storm.finished,
      this.#download.finished,
      this.#session.finished,
    ]);
    t.equal(storm.code, 0, storm.stderr);
    const said = storm.stdout.split('\n').find((line) => line.startsWith('{')) ?? '{}';
    const { seen, slowest } = JSON.parse(said) as StormResult;
    t.comment(`${this.#name}: ${seen['ok']} connections, the slowest took ${slowest.toFixed(2)} s`);
    t.strictSame(Object.keys(seen), ['ok'], 'every connection was served');
    t.match(download.stdout, `\nflowing\ngot ${DOWNLOAD_BYTES}\n`, download.stderr);
    t.match(session, { code: 0 }, session.stderr);
    return (flows) => {
      const of = (program: Finished): FlowRecord[] =>
        flows.filter(({ src, dst }) => src.pid === pidOf(program) && dst.port !== 53);
      const web = of(storm);
      t.equal(web.length, seen['ok'], 'one record for each connection');
      const kinds = new Set(
        web.map(({ reason, verdict, disposition }) => `${disposition} ${verdict} ${reason}`),
      );
      t.strictSame(kinds, new Set(['upgraded allow ok']));
      t.equal(new Set(web.map(({ id }) => id)).size, web.length, 'and none twice');
      t.match(
        [...of(download), ...of(session)].map(({ reason, agent, src }) => [reason, agent, src.exe]),
        [
          ['ok', AGENTS.stock, /python/],
          ['ok', AGENTS.shop, /psql/],
        ],
        'the flows that lasted have one record each, and it names who made them',
      );
    };
  }
}
