/** What a guest says, line by line, as it says it: the file it writes to is read as it grows. */
import { closeSync, openSync, readSync, watch, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { joined } from '#test/support/bypass/document.ts';
import { readCellLine } from '#test/support/bypass/told.ts';
import type { MatrixResult } from '#test/support/bypass/types.ts';
import { countTap } from '../../scripts/lib/count-tap.ts';

const FILE_LINE = /^guest: file (.+)$/;
/** Its process was ended by this signal before it had begun, and is started once more. */
const AGAIN_LINE = /^guest: again (\d+)$/;
const ENDED_LINE = /^guest: ended (\d+)$/;
const LAST_LINE = /^guest: exit (\d+)$/;
/** What timeout(1) ends with when the time was up. */
const TIMED_OUT = 124;
/** More than the journal of a failed guest; what is beyond is left out. */
const MAX_BYTES = 16 * 1024 * 1024;

export interface Verdict {
  /** Of the guest's test run; null: it never came to its end. */
  readonly exitCode: number | null;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What the guest's bypass matrix has answered, where it was asked for; all of it, or what it came to. */
  readonly matrix: MatrixResult | null;
}

/** Reads what guest/run says, and tells the outline of it: test files, their subtests, and all of a failure. */
export class GuestLines {
  #rest = '';
  #verdict: Verdict = { exitCode: null, passed: 0, failed: 0, skipped: 0, matrix: null };
  #file: { readonly name: string; tap: string } | null = null;
  #learnt = false;
  readonly #tell: (line: string) => void;
  readonly #onMatrix: (matrix: MatrixResult) => void;

  /** @param onMatrix gets what is known of the bypass matrix, each time more of it is */
  constructor(tell: (line: string) => void, onMatrix: (matrix: MatrixResult) => void = () => {}) {
    this.#tell = tell;
    this.#onMatrix = onMatrix;
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#take(line.replace(/\r$/, ''));
    if (this.#learnt && this.#verdict.matrix !== null) this.#onMatrix(this.#verdict.matrix);
    this.#learnt = false;
  }

  get verdict(): Verdict {
    return this.#verdict;
  }

  #take(line: string): void {
    const file = FILE_LINE.exec(line)?.[1];
    const again = AGAIN_LINE.exec(line)?.[1];
    const ended = ENDED_LINE.exec(line)?.[1];
    const told = readCellLine(line);
    const last = LAST_LINE.exec(line)?.[1];
    if (file !== undefined) this.#file = { name: file, tap: '' };
    else if (again !== undefined) this.#restart(Number(again));
    else if (ended !== undefined) this.#judge(Number(ended));
    else if (last !== undefined) this.#verdict = { ...this.#verdict, exitCode: Number(last) };
    else if (told !== null) this.#learn(told);
    else if (this.#file === null) this.#tell(line);
    else {
      this.#file.tap += `${line}\n`;
      if (/^(not )?ok /.test(line)) this.#tell(line);
    }
  }

  #learn(told: MatrixResult): void {
    const before = this.#verdict.matrix?.cells ?? [];
    this.#verdict = { ...this.#verdict, matrix: { ...told, cells: joined(before, told.cells) } };
    this.#learnt = true;
  }

  #restart(signal: number): void {
    if (this.#file === null) return;
    const { name, tap } = this.#file;
    this.#tell(`${name} was ended by ${signalName(signal)} before its first test, and is started once more:`);
    for (const line of tap.trimEnd().split('\n')) this.#tell(`     ${line}`);
    this.#file = { name, tap: '' };
  }

  /** A file that ended badly has failed, whatever it reported; one that reported nothing as well. */
  #judge(code: number): void {
    if (this.#file === null) return;
    const { name, tap } = this.#file;
    this.#file = null;
    const { passed, failed: reported, skipped } = countTap(tap);
    const silent = passed + reported + skipped === 0;
    const failed = reported === 0 && (code !== 0 || silent) ? 1 : reported;
    const how = code === TIMED_OUT ? ', time was up' : code === 0 ? '' : `, ended ${endingOf(code)}`;
    this.#tell(`${failed > 0 ? 'FAIL' : 'ok  '} ${name} (${passed} passed, ${failed} failed${how})`);
    if (failed > 0) for (const line of tap.trimEnd().split('\n')) this.#tell(`     ${line}`);
    else
      for (const line of tap.split('\n')) if (/# (skip|todo)/i.test(line)) this.#tell(`     ${line.trim()}`);
    this.#verdict = {
      ...this.#verdict,
      passed: this.#verdict.passed + passed,
      failed: this.#verdict.failed + failed,
      skipped: this.#verdict.skipped + skipped,
    };
  }
}

const signalName = (signal: number): string =>
  Object.entries(constants.signals).find(([, number]) => number === signal)?.[0] ?? `signal ${signal}`;

/** As a shell has it: 128 and a signal, or an exit code. */
const endingOf = (code: number): string => (code > 128 ? `by ${signalName(code - 128)}` : `with ${code}`);

export class Channel {
  readonly file: string;
  readonly #fd: number;
  readonly #lines: GuestLines;
  readonly #watcher: ReturnType<typeof watch>;
  #offset = 0;
  #isClosed = false;

  /** @param tell gets what is worth showing, as it comes */
  constructor(file: string, tell: (line: string) => void, onMatrix?: (matrix: MatrixResult) => void) {
    this.file = file;
    writeFileSync(file, '');
    this.#fd = openSync(file, 'r');
    this.#lines = new GuestLines(tell, onMatrix);
    this.#watcher = watch(file, () => this.#read());
  }

  #read(): void {
    const chunk = Buffer.alloc(65536);
    while (this.#offset < MAX_BYTES) {
      const count = readSync(this.#fd, chunk, 0, chunk.length, this.#offset);
      if (count === 0) return;
      this.#offset += count;
      this.#lines.push(chunk.toString('latin1', 0, count));
    }
  }

  /** Whether the guest has said anything: also what nobody has told us of yet. */
  get spoke(): boolean {
    if (!this.#isClosed) this.#read();
    return this.#offset > 0;
  }

  /** Takes what is left, and gives the verdict. */
  close(): Verdict {
    this.#watcher.close();
    this.#read();
    this.#isClosed = true;
    closeSync(this.#fd);
    return this.#lines.verdict;
  }
}
