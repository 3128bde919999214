/**
 * What must not notice a restart: agents that connect all the time, a download that lasts, and a database session that
 * stays open. Each is an unmodified program; what it saw is what it says at its end.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { type Running, until } from './command.ts';
import { FAR } from './network.ts';
import { RESPONSE_MARKER } from './nginx.ts';
import { POSTGRES } from './postgres.ts';
import { PYTHON } from './python.ts';
import { RAW_PORTS } from './raw-ports.ts';
import type { TestSluice } from './sluice.ts';
import { AGENTS } from './world-policy.ts';

const REQUEST_MARKER = 'REQUEST-MARKER-5e1f';
export const LOAD_MARKERS = [REQUEST_MARKER, RESPONSE_MARKER, POSTGRES.rowMarker] as const;
const DOWNLOAD_BYTES = 60_000_000;
const THREADS = 6;

/** Each thread connects, asks and reads its answer, fifty times a second at most. Failures are printed by kind. */
const storm = (over: string): string => `
import collections, http.client, json, os, threading, time
seen = collections.Counter(); slowest = 0.0; lock = threading.Lock()
def work(number):
    global slowest
    count = 0
    while not os.path.exists(${JSON.stringify(over)}):
        path = f"/secret/${REQUEST_MARKER}-{os.getpid()}-{number}-{count}"; count += 1
        begun = time.monotonic(); kind = "ok"
        try:
            c = http.client.HTTPConnection("${FAR.ipv4}", 80, timeout=60)
            c.request("GET", path, headers={"Host": "shop.test", "Connection": "close"})
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
print(json.dumps({"pid": os.getpid(), "slowest": slowest, "seen": seen}), flush=True)`;

/** Reads slowly until it is over, so that it is still on its way at every restart. */
const download = (over: string): string => `
import os, socket, time
s = socket.create_connection(("${FAR.ipv4}", ${RAW_PORTS.source}), 5)
s.sendall(b"${DOWNLOAD_BYTES}\\n")
got = len(s.recv(1000)); print("flowing", flush=True)
while chunk := s.recv(20000):
    got += len(chunk)
    if not os.path.exists(${JSON.stringify(over)}): time.sleep(0.05)
print("got", got, flush=True)`;

interface StormResult {
  readonly pid: number;
  /** Seconds. */
  readonly slowest: number;
  readonly seen: Readonly<Record<string, number>>;
}

export class RestartLoad {
  readonly #over: string;
  readonly #sluice: TestSluice;
  readonly #storm: Running;
  readonly #download: Running;
  readonly #session: Running;
  #asked = 0;

  private constructor(sluice: TestSluice, name: string) {
    this.#sluice = sluice;
    this.#over = join(sluice.world.dir, `${name}-is-over`);
    this.#storm = sluice.start(AGENTS.shop, [PYTHON, '-c', storm(this.#over)]);
    this.#download = sluice.start(AGENTS.stock, [PYTHON, '-c', download(this.#over)]);
    const url = `host=${POSTGRES.name} user=${POSTGRES.user} dbname=${POSTGRES.database} sslmode=disable`;
    this.#session = sluice.start(AGENTS.shop, ['psql', '-XAtq', url], {
      keepStdin: true,
      env: { PGPASSWORD: POSTGRES.password },
    });
  }

  static async start(sluice: TestSluice, name: string): Promise<RestartLoad> {
    const load = new RestartLoad(sluice, name);
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

  /** Ends it, and asserts that nothing was lost, refused or recorded twice. */
  async end(t: Test): Promise<void> {
    this.#session.endInput();
    writeFileSync(this.#over, '');
    const [storm, download, session] = await Promise.all([
      this.#storm.finished,
      this.#download.finished,
      this.#session.finished,
    ]);
    t.equal(storm.code, 0, storm.stderr);
    const { seen, slowest } = JSON.parse(storm.stdout.split('\n')[1] ?? '{}') as StormResult;
    t.comment(`${seen['ok']} connections, the slowest took ${slowest.toFixed(2)} s`);
    t.strictSame(Object.keys(seen), ['ok'], 'every connection was served');
    t.equal(download.stdout, `flowing\ngot ${DOWNLOAD_BYTES}\n`, download.stderr);
    t.match(session, { code: 0 }, session.stderr);
    await this.#assertRecords(t, seen['ok'] ?? 0);
  }

  async #assertRecords(t: Test, connections: number): Promise<void> {
    const flows = (): ReturnType<TestSluice['storedFlows']> => this.#sluice.storedFlows();
    const web = await until(
      'the records of the storm',
      async () => {
        const found = (await flows()).filter(({ dst, agent }) => agent === AGENTS.shop && dst.port === 80);
        return found.length >= connections ? found : null;
      },
      20_000,
    );
    t.equal(web.length, connections, 'one record for each connection');
    const kinds = new Set(
      web.map(({ reason, verdict, disposition }) => `${disposition} ${verdict} ${reason}`),
    );
    t.strictSame(kinds, new Set(['upgraded allow ok']));
    t.equal(new Set(web.map(({ id }) => id)).size, web.length, 'and none twice');
    const long = (await flows()).filter(
      ({ dst }) => dst.port === RAW_PORTS.source || dst.port === POSTGRES.port,
    );
    t.match(
      long.map(({ reason, agent, src }) => [reason, agent, src.exe]).sort(),
      [
        ['ok', AGENTS.shop, /psql/],
        ['ok', AGENTS.stock, /python/],
      ],
      'the flows that lasted have one record each, and it names who made them',
    );
    const ids = this.#sluice.log.map(({ id }) => id);
    t.equal(new Set(ids).size, ids.length, 'no record was written twice');
  }
}
