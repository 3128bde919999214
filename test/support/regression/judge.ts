/**
 * Stands between psql and a real server, and asks the server of each statement first what it thinks of it: in a transaction
 * that may only read and is taken back. So psql cuts the scripts, follows its own commands and fills in variables, and who says
 * what is a write is PostgreSQL (SQLSTATE 25006).
 */
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

export interface Judged {
  readonly text: Buffer;
  /** What the server said of it where nothing may be written: SQLSTATE and message of the first error; null: it was run. */
  readonly readOnly: Problem | null;
  /** In vain outside of a transaction: it was not tried. */
  readonly isTried: boolean;
  /** Run where nothing may be written, it took a transaction number all the same: it has written something. */
  readonly tookNumber: boolean;
  /** What the server said when it was run as it is. */
  readonly said: Problem | null;
  /** The server does not read backslashes as the standard has it. */
  readonly otherwise: boolean;
}

export interface Problem {
  readonly sqlState: string;
  readonly message: string;
}

interface Answer {
  readonly problem: Problem | null;
  readonly cell: string | null;
}

const IN_PROGRESS = 'T';
const IDLE = 'I';

export class Judge {
  /** Where its socket is. */
  readonly dir: string;
  readonly judged: Judged[] = [];
  /** Messages of the extended protocol, which are not judged. */
  others = 0;
  readonly #server: Server;

  private constructor(dir: string, server: Server) {
    this.dir = dir;
    this.#server = server;
  }

  /** @param mayTry whether a text leaves nothing behind when its transaction is taken back */
  static async start(dir: string, upstream: string, mayTry: (text: string) => boolean): Promise<Judge> {
    const server = createServer();
    const judge = new Judge(dir, server);
    server.on('connection', (client) => {
      const conversation = new Conversation(judge, client, createConnection(upstream), mayTry);
      void conversation.carry();
    });
    await new Promise<void>((resolve) => server.listen(join(dir, '.s.PGSQL.5432'), resolve));
    return judge;
  }

  async stop(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

class Conversation {
  readonly #judge: Judge;
  readonly #mayTry: (text: string) => boolean;
  readonly #client: Messages;
  readonly #upstream: Messages;
  #status = IDLE;
  readonly #settings = new Map<string, string>();

  constructor(judge: Judge, client: Socket, server: Socket, mayTry: (text: string) => boolean) {
    this.#judge = judge;
    this.#mayTry = mayTry;
    this.#client = new Messages(client, true);
    this.#upstream = new Messages(server, false);
  }

  async carry(): Promise<void> {
    try {
      this.#upstream.write((await this.#client.next()) ?? NOTHING);
      await this.#answers(true);
      for (;;) {
        const message = await this.#client.next();
        if (message === null) break;
        if (message[0] === 0x51) await this.#query(message);
        else await this.#pass(message);
      }
    } catch {
      // The server has ended the session: so does this.
    }
    this.#client.end();
    this.#upstream.end();
  }

  async #query(message: Buffer): Promise<void> {
    const text = message.subarray(5, -1);
    const tried = await this.#try(text);
    const otherwise =
      this.#settings.get('standard_conforming_strings') !== 'on' ||
      this.#settings.get('client_encoding') !== 'UTF8';
    this.#upstream.write(message);
    const { problem } = await this.#answers(true);
    this.#judge.judged.push({ text, ...tried, said: problem, otherwise });
  }

  /** Of the extended protocol psql 15 uses what needs no answer before its Sync. */
  async #pass(message: Buffer): Promise<void> {
    this.#judge.others += 1;
    this.#upstream.write(message);
    if (message[0] === 0x53) await this.#answers(true);
  }

  async #try(text: Buffer): Promise<Pick<Judged, 'readOnly' | 'isTried' | 'tookNumber'>> {
    const not = { readOnly: null, isTried: false, tookNumber: false };
    if (this.#status === 'E' || !this.#mayTry(text.toString('utf8'))) return not;
    if (this.#status === IN_PROGRESS) {
      await this.#ask('savepoint sluice_try');
      await this.#ask('set local transaction_read_only = on');
      const { problem } = await this.#ask(text);
      await this.#ask('rollback to savepoint sluice_try');
      await this.#ask('release savepoint sluice_try');
      return { readOnly: problem, isTried: true, tookNumber: false };
    }
    await this.#ask('begin read only');
    let { problem } = await this.#ask(text);
    const { cell } = await this.#ask('select pg_catalog.pg_current_xact_id_if_assigned() is not null');
    await this.#ask('rollback');
    if (problem?.sqlState === '25001') {
      await this.#ask('set default_transaction_read_only = on');
      ({ problem } = await this.#ask(text));
      await this.#ask('set default_transaction_read_only = off');
    }
    return { readOnly: problem, isTried: true, tookNumber: cell === 't' };
  }

  #ask(text: string | Buffer): Promise<Answer> {
    const content = Buffer.concat([Buffer.from(text), Buffer.of(0)]);
    const header = Buffer.from('Q\0\0\0\0', 'latin1');
    header.writeUInt32BE(4 + content.length, 1);
    this.#upstream.write(Buffer.concat([header, content]));
    return this.#answers(false);
  }

  /** Up to ReadyForQuery. @param told whether psql hears it, and gives the data of a COPY */
  async #answers(told: boolean): Promise<Answer> {
    let problem: Problem | null = null;
    let cell: string | null = null;
    for (;;) {
      const message = await this.#upstream.next();
      if (message === null) throw new Error('the server has ended the session');
      if (told) this.#client.write(message);
      switch (String.fromCharCode(message[0] ?? 0)) {
        case 'E':
          problem ??= problemOf(message);
          break;
        case 'S':
          this.#learn(message);
          break;
        case 'D':
          cell = message.toString('utf8', 11);
          break;
        case 'G':
          if (told) await this.#copyIn();
          else this.#upstream.write(Buffer.from('f\0\0\0\x05\0', 'latin1'));
          break;
        case 'Z':
          this.#status = String.fromCharCode(message[5] ?? 0);
          return { problem, cell };
      }
    }
  }

  #learn(message: Buffer): void {
    const [name = '', value = ''] = message.toString('utf8', 5).split('\0');
    this.#settings.set(name, value);
  }

  async #copyIn(): Promise<void> {
    for (;;) {
      const message = await this.#client.next();
      if (message === null) throw new Error('psql has ended');
      this.#upstream.write(message);
      if (message[0] !== 0x64) return;
    }
  }
}

const NOTHING = Buffer.alloc(0);

/** Messages of one side, one after the other; null: there are no more. */
class Messages {
  readonly #socket: Socket;
  #bytes: Buffer = NOTHING;
  #chunks: AsyncIterator<Buffer>;
  /** The start-up packet of a client has no type. */
  #hasStarted: boolean;

  constructor(socket: Socket, isClient: boolean) {
    this.#socket = socket;
    this.#hasStarted = !isClient;
    socket.on('error', () => {});
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  async next(): Promise<Buffer | null> {
    for (;;) {
      const at = this.#hasStarted ? 1 : 0;
      if (this.#bytes.length >= at + 4) {
        const end = at + this.#bytes.readUInt32BE(at);
        if (this.#bytes.length >= end) {
          const message = this.#bytes.subarray(0, end);
          this.#bytes = this.#bytes.subarray(end);
          this.#hasStarted = true;
          return message;
        }
      }
      const { value, done } = await this.#chunks.next();
      if (done === true) return null;
      this.#bytes = this.#bytes.length === 0 ? value : Buffer.concat([this.#bytes, value]);
    }
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  end(): void {
    this.#socket.destroy();
  }
}

function problemOf(message: Buffer): Problem {
  const fields = message.toString('utf8', 5).split('\0');
  const of = (letter: string): string => fields.find((field) => field.startsWith(letter))?.slice(1) ?? '';
  return { sqlState: of('C'), message: of('M') };
}
