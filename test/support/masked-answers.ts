/** Sessions in which answers are masked, without a proxy: what the agent gets, in words, and what a server may say. */
import type { Catalog, CatalogKeeper } from '#src/protocols/postgres/masking/catalog.ts';
import { ColumnRules } from '#src/protocols/postgres/masking/column-rules.ts';
import { FactsCache } from '#src/protocols/postgres/masking/facts-cache.ts';
import { MaskedSession } from '#src/protocols/postgres/masking/masked-session.ts';
import { CARDS, maskerOf, SSN } from './masks.ts';
import { authentication, message, uint32 } from './postgres-packets.ts';

const cache = new FactsCache();

export class Keeper implements CatalogKeeper {
  known: Catalog | null = null;
  due = true;
  current(): Catalog | null {
    return this.known;
  }
  isDue(): boolean {
    return this.due;
  }
  keep(catalog: Catalog): void {
    this.known = catalog;
    this.due = false;
  }
  failed(): void {}
  mayAskAgain(): boolean {
    return false;
  }
  expire(): void {
    this.due = true;
  }
}

export function sessionOf(startupBytes = 0, masks = [CARDS, SSN], keeper: Keeper | null = null) {
  const columns = new ColumnRules(masks.flatMap((each) => each.columns));
  return new MaskedSession({
    startupBytes,
    masker: maskerOf(...masks),
    columns,
    factsOf: columns.rules.length > 0 ? cache.factsOf : cache.copiesOf,
    onHits: () => {},
    keeper,
  });
}

/** Messages in words: type, and the texts of it. */
export function inWords(bytes: Buffer): string[] {
  const words: string[] = [];
  for (let at = 0; at + 5 <= bytes.length; at += 1 + bytes.readUInt32BE(at + 1)) {
    const type = bytes.toString('latin1', at, at + 1);
    const content = bytes.subarray(at + 5, at + 1 + bytes.readUInt32BE(at + 1));
    if (type === 'D') words.push(`D ${cellsOf(content).join('|')}`);
    else if (type === 'd') words.push(`d ${content.toString('latin1')}`);
    else if ('ENAC'.includes(type)) words.push(`${type} ${content.toString('latin1').replaceAll('\0', ' ')}`);
    else words.push(type);
  }
  return words;
}

export function cellsOf(content: Buffer): string[] {
  const cells: string[] = [];
  let at = 2;
  while (at < content.length) {
    const length = content.readInt32BE(at);
    at += 4;
    cells.push(length < 0 ? 'NULL' : content.toString('latin1', at, at + length));
    at += Math.max(0, length);
  }
  return cells;
}

export const text = (value: string): Buffer => Buffer.from(`${value}\0`);
export const query = (sql: string): Buffer => message('Q', text(sql));
export const parse = (name: string, sql: string): Buffer =>
  message('P', text(name), text(sql), Buffer.alloc(2));
export const bind = (portal: string, statement: string): Buffer =>
  message('B', text(portal), text(statement), Buffer.alloc(6));
export const execute = (portal: string): Buffer => message('E', text(portal), uint32(0));
export const describe = (what: string): Buffer => message('D', text(what));
export const sync = message('S');
export const ready = message('Z', Buffer.from('I'));
export const complete = message('C', text('SELECT 1'));
export const int16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);

export interface Field {
  readonly name: string;
  readonly table?: number;
  readonly type?: number;
  readonly format?: number;
}
export const description = (...fields: Field[]): Buffer =>
  message(
    'T',
    int16(fields.length),
    ...fields.flatMap(({ name, table = 0, type = 25, format = 0 }, index) => [
      text(name),
      uint32(table),
      int16(table === 0 ? 0 : index + 1),
      uint32(type),
      int16(0xffff),
      uint32(0xffff_ffff),
      int16(format),
    ]),
  );
export const row = (...cells: (string | Buffer | null)[]): Buffer =>
  message(
    'D',
    int16(cells.length),
    ...cells.flatMap((cell) =>
      cell === null ? [uint32(0xffff_ffff)] : [uint32(cell.length), Buffer.from(cell)],
    ),
  );

/** A session that is past its start. */
export function started(masks = [CARDS, SSN], keeper: Keeper | null = null) {
  const session = sessionOf(0, masks, keeper);
  const toAgent = (...bytes: Buffer[]): string =>
    inWords(Buffer.concat(session.toAgent.push(Buffer.concat(bytes)))).join(' ');
  const toServer = (...bytes: Buffer[]): string =>
    Buffer.concat(session.toServer.push(Buffer.concat(bytes))).toString('latin1');
  session.toAgent.push(Buffer.concat([authentication(0), message('K', uint32(1), uint32(2)), ready]));
  return { session, toAgent, toServer };
}
