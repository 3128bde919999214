/**
 * How many bytes of text results masking gets through in a second of one processor, by group of detectors, and how many the
 * same needles as JavaScript's regular expressions do.
 *
 *   node test/bench/mask-throughput.ts [MEBIBYTES]
 *
 * Counted is processor time, not time, so that what else runs matters less. Rows are those of a shop, of text: in one of fifty
 * there is a card number, in one of ten an e-mail address. Only values count, not what a protocol puts around them.
 */
import { type MakeScanner, MaskEngine } from '../../src/mask/engine.ts';
import { makeMasker } from '../../src/mask/mask-set.ts';
import { Drawer, filled } from '../support/mask-corpus.ts';
import { policyOf } from '../support/policy-text.ts';
import { regexpScanner } from '../support/regexp-scanner.ts';

const SETS = ['cards', 'personal', 'network', 'secrets', 'all'];
const MEBIBYTE = 1024 * 1024;
/** Cells that go at once: about what a read of a socket holds. */
const BATCH_CELLS = 2_000;
const LEAST_MS = 1_000;

const ROW = [
  '{d:7}',
  '{hex:8}-{hex:4}-4{hex:3}-a{hex:3}-{hex:12}',
  '2026-0{d:1}-1{d:1} 1{d:1}:3{d:1}:2{d:1}.{d:6}+00',
  '{d:4}.{d:2}',
  '{d:2}.{d:15}',
  'shipped',
  'the {lower:5} was sent to {lower:7} because {lower:4} {lower:8} had none of it left, please call back {lower:6}',
  'https://shop.example.org/items/{d:6}?ref={hex:6}',
  't',
  '{lower:6} {lower:9}',
] as const;

interface Cells {
  readonly bytes: Buffer;
  readonly places: Uint32Array;
  readonly count: number;
  readonly textBytes: number;
}

/** Values with four bytes before each, as in a DataRow. */
function makeCells(size: number): Cells {
  const drawer = new Drawer(7);
  const parts: Buffer[] = [];
  const places: number[] = [];
  let at = 0;
  let textBytes = 0;
  for (let row = 0; textBytes < size; row += 1) {
    const extra =
      row % 50 === 0 ? '4111 1111 1111 1111' : row % 10 === 0 ? '{lower:5}.{lower:6}@example.org' : '{d:9}';
    for (const cell of [...ROW, extra]) {
      const text = Buffer.from(filled(cell, drawer));
      const head = Buffer.alloc(4);
      head.writeInt32BE(text.length);
      parts.push(head, text);
      places.push(at + 4, at + 4 + text.length, 0);
      at += 4 + text.length;
      textBytes += text.length;
    }
  }
  return {
    bytes: Buffer.concat(parts),
    places: Uint32Array.from(places),
    count: places.length / 3,
    textBytes,
  };
}

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Megabytes a second, and how many cells were masked. */
function measure(
  set: string,
  cells: Cells,
  makeScanner?: MakeScanner,
): { rate: number; masked: number; compileMs: number } {
  const policy = policyOf(`
destinations: [{name: db, cidrs: [10.0.0.1], ports: [5432], protocol: postgres}]
masks: [{name: m, destinations: [db], detect: [${set}]}]`);
  const before = processorMs();
  const engine = new MaskEngine(policy, makeScanner);
  const compileMs = processorMs() - before;
  const masker = makeMasker(engine, policy.masks, 'responses');
  if (masker === null) throw new Error('nothing to mask');
  const columns = [masker.column({ schema: null, table: null, column: 'c', type: 'text' })];
  let masked = 0;
  const round = (): void => {
    masked = 0;
    for (let first = 0; first < cells.count; first += BATCH_CELLS) {
      const count = Math.min(BATCH_CELLS, cells.count - first);
      masked += masker.cells(cells.bytes, cells.places.subarray(3 * first), count, columns).length;
    }
  };
  // One to warm up: what is compiled as it runs is part of no result.
  round();
  const start = processorMs();
  let rounds = 0;
  for (; rounds === 0 || processorMs() - start < LEAST_MS; rounds += 1) round();
  return { rate: (rounds * cells.textBytes) / (processorMs() - start) / 1000, masked, compileMs };
}

const cells = makeCells(Number(process.argv[2] ?? 4) * MEBIBYTE);
process.stdout.write(`${cells.count} values, ${(cells.textBytes / 1e6).toFixed(1)} MB\n`);
process.stdout.write('detectors  masked  compile ms   MB/s  as RegExp  ratio\n');
for (const set of SETS) {
  const own = measure(set, cells);
  const other = measure(set, cells, regexpScanner);
  if (own.masked !== other.masked)
    throw new Error(`${set}: ${own.masked} and ${other.masked} values were masked`);
  const columns = [
    set.padEnd(9),
    String(own.masked).padStart(7),
    own.compileMs.toFixed(0).padStart(11),
    own.rate.toFixed(0).padStart(6),
    other.rate.toFixed(1).padStart(10),
    (own.rate / other.rate).toFixed(1).padStart(6),
  ];
  process.stdout.write(`${columns.join(' ')}\n`);
}
