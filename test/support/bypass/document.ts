/** docs/bypass-matrix.md, made of the results that are kept in test/bypass/results. */
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { declaredFor } from './declared.ts';
import { FAMILIES, ROWS, SECTIONS, WHO } from './rows.ts';
import { PART_IN_WORDS } from './scale.ts';
import type { Cell, Family, MatrixResult, Row, Who } from './types.ts';

const root = join(import.meta.dirname, '../../..');
const RESULTS = join(root, 'test/bypass/results');
export const DOCUMENT = join(root, 'docs/bypass-matrix.md');

const FAMILY_NAMES: Readonly<Record<Family, string>> = { '4': 'IPv4', '6': 'IPv6', mapped: 'v4-mapped' };

/** Every kept result: by tier, then by kernel, oldest first. */
export function keptResults(): MatrixResult[] {
  const version = (kernel: string): number => {
    const [major = 0, minor = 0] = kernel.split('.').map(Number);
    return major * 1000 + minor;
  };
  return globSync('*.json', { cwd: RESULTS })
    .map((file) => JSON.parse(readFileSync(join(RESULTS, file), 'utf8')) as MatrixResult)
    .sort((a, b) => a.tier.localeCompare(b.tier) || version(a.kernel) - version(b.kernel));
}

/** The one of this kernel and tier. */
export function keptFor({ kernel, tier }: Pick<MatrixResult, 'kernel' | 'tier'>): MatrixResult | undefined {
  return keptResults().find((kept) => kept.kernel === kernel && kept.tier === tier);
}

const keyOf = ({ row, who, family }: Cell): string => `${row} ${who} ${family}`;

/** `before` with the answers of `cells` in place of its own, in the order of the rows. */
export function joined(before: readonly Cell[], cells: readonly Cell[]): Cell[] {
  const place = new Map(
    ROWS.flatMap(({ name, who, families }) =>
      (who ?? WHO).flatMap((one) => (families ?? FAMILIES).map((over) => `${name} ${one} ${over}`)),
    ).map((key, at) => [key, at]),
  );
  const all = new Map([...before, ...cells].map((cell) => [keyOf(cell), cell]));
  return [...all.values()].sort((a, b) => (place.get(keyOf(a)) ?? 0) - (place.get(keyOf(b)) ?? 0));
}

export function keep(result: MatrixResult): void {
  mkdirSync(RESULTS, { recursive: true });
  const cells = result.cells.map((cell) => `    ${JSON.stringify(cell)}`).join(',\n');
  const head = `  "kernel": "${result.kernel}",\n  "tier": "${result.tier}",\n`;
  const file = join(RESULTS, `${result.kernel}-${result.tier.replaceAll(/[^a-z0-9]+/g, '-')}.json`);
  writeFileSync(file, `{\n${head}  "cells": [\n${cells}\n  ]\n}\n`);
}

function text(tier: string, cell: Cell | undefined): string {
  if (cell === undefined) return '';
  if (cell.verdict === 'open') return `**open**: ${declaredFor(tier, cell)?.closedBy ?? 'nothing declared'}`;
  return cell.detail === '' ? cell.verdict : `${cell.verdict}: ${cell.detail}`;
}

interface Line {
  readonly who: Who;
  readonly families: Family[];
  readonly texts: readonly string[];
}

/** What was tried by whom over what, with the same answer in every column, is one line. */
function linesOf(row: Row, results: readonly MatrixResult[]): string[] {
  const lines: Line[] = [];
  for (const who of row.who ?? WHO)
    for (const family of row.families ?? FAMILIES) {
      const texts = results.map(({ tier, cells }) =>
        text(
          tier,
          cells.find((cell) => cell.row === row.name && cell.who === who && cell.family === family),
        ),
      );
      const same = lines.find((line) => line.who === who && line.texts.join() === texts.join());
      if (same === undefined) lines.push({ who, families: [family], texts });
      else same.families.push(family);
    }
  const merged = new Map<string, string[]>();
  for (const { who, families, texts } of lines) {
    const key = `${families.map((family) => FAMILY_NAMES[family]).join(', ')} | ${texts.join(' | ')}`;
    merged.set(key, [...(merged.get(key) ?? []), who]);
  }
  return [...merged].map(([rest, who]) => `| ${row.title} | ${who.join(', ')} | ${rest} |`);
}

function summary(results: readonly MatrixResult[]): string {
  const of = (result: MatrixResult, verdict: Cell['verdict']): number =>
    result.cells.filter((cell) => cell.verdict === verdict).length;
  const verdicts = ['redirected', 'refused', 'dropped', 'held', 'open', 'not run', 'failed'] as const;
  const lines = results.map(
    (result) =>
      `| ${result.kernel} | ${result.tier} | ${verdicts.map((verdict) => of(result, verdict)).join(' | ')} |`,
  );
  return [
    `| kernel | tier | ${verdicts.join(' | ')} |`,
    `|${'---|'.repeat(verdicts.length + 2)}`,
    ...lines,
  ].join('\n');
}

export function document(results: readonly MatrixResult[]): string {
  const columns = results.map(({ kernel, tier }) => `${kernel} ${tier}`).join(' | ');
  const tables = SECTIONS.map(({ title, rows }) => {
    const lines = rows.flatMap((row) => linesOf(row, results)).join('\n');
    return `## ${title}\n\n| way | agent is | over | ${columns} |\n|${'---|'.repeat(3 + results.length)}\n${lines}\n`;
  });
  return `# Ways past Sluice

Written by \`sudo scripts/bypass --write\`; do not edit. Each way is tried by an agent that is root and by one that is
an unprivileged user, over each family where that makes sense, against a running daemon. The judge is a packet
capture on the far side of the host's only cable, together with what the far side's TLS server received. A test
(\`test/e2e/bypass.test.ts\`) tries all of them again and fails when one is open that is not declared in
\`test/support/bypass/declared.ts\`, or declared there and closed.

- **redirected**: what was sent arrived by way of the proxy, inside verified TLS, and nothing else left the host
- **refused**: a call failed, with this error
- **dropped**: the calls went well, and nothing left the host
- **held**: many tries; each was redirected, refused or dropped
- **open**: bytes left past the proxy, or a socket was handed out that the hooks of this tier do not see; behind it,
  what closes it
- **not run**: this kernel cannot
- **failed**: it could not be tried, or not be judged; nothing is known

Debian's kernels (6.1, 6.12, 7.3) are tried in emulated machines, by \`sudo scripts/test-vm --write\`. These are ten to
twenty times slower: races and storms are tried there with ${PART_IN_WORDS} they are named for, and their answers say so.

${summary(results)}

${tables.join('\n')}`;
}

export function writeDocument(): void {
  writeFileSync(DOCUMENT, document(keptResults()));
}
