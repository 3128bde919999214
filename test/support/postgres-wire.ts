/** A PostgreSQL client that sends what it is told, message by message, and keeps what it is answered as it comes. */
import { createConnection } from 'node:net';
import { until } from './command.ts';
import { message, startupMessage, uint32 } from './postgres-packets.ts';

type Value = Uint8Array | string | null;

const text = (value: string): Buffer => Buffer.from(`${value}\0`, 'utf8');
const sized = (value: Value): Buffer[] => {
  if (value === null) return [uint32(0xffff_ffff)];
  const bytes = Buffer.from(value as string, 'utf8');
  return [uint32(bytes.length), bytes];
};
const uint16 = (value: number): Buffer => uint32(value).subarray(2);
const uint16s = (values: readonly number[]): Buffer =>
  Buffer.concat([uint16(values.length), ...values.map(uint16)]);

export const TEXT = 0;
export const BINARY = 1;
export const sync: Buffer = message('S');

export function query(sql: string): Buffer {
  return message('Q', text(sql));
}

export function parse(sql: string, name = ''): Buffer {
  return message('P', text(name), text(sql), uint16(0));
}

export interface Bound {
  readonly portal?: string;
  readonly statement?: string;
  readonly values?: readonly Value[];
  /** Of the result. */
  readonly format?: number;
}

export function bind({ portal = '', statement = '', values = [], format = TEXT }: Bound = {}): Buffer {
  const given = [uint16(values.length), ...values.flatMap(sized)];
  return message('B', text(portal), text(statement), uint16s([]), ...given, uint16s([format]));
}

export function describe(kind: 'S' | 'P', name = ''): Buffer {
  return message('D', Buffer.from(kind), text(name));
}

export function execute(portal = ''): Buffer {
  return message('E', text(portal), uint32(0));
}

/** A question of the extended protocol, all at once. */
export function asked(sql: string, bound: Bound = {}): Buffer {
  return Buffer.concat([parse(sql), bind(bound), execute(bound.portal), sync]);
}

/** A FunctionCall. */
export function call(
  functionOid: number,
  values: readonly Value[],
  formats: readonly [number, number],
): Buffer {
  const given = [uint16(values.length), ...values.flatMap(sized)];
  return message('F', uint32(functionOid), uint16s([formats[0]]), ...given, uint16(formats[1]));
}

/** What ends in a ReadyForQuery: Query, Sync, FunctionCall. */
const ASKS: ReadonlySet<string> = new Set('QSF');

function count(bytes: Buffer, isCounted: (type: string) => boolean): number {
  let counted = 0;
  for (let at = 0; at + 5 <= bytes.length; at += 1 + bytes.readUInt32BE(at + 1)) {
    // The last may not have come whole.
    const isWhole = at + 1 + bytes.readUInt32BE(at + 1) <= bytes.length;
    if (isWhole && isCounted(String.fromCharCode(bytes[at] ?? 0))) counted += 1;
  }
  return counted;
}

/** One session: each step is sent when all before it has been answered. @returns all that was answered */
export async function wire(
  path: string,
  steps: readonly Buffer[],
  parameters: Readonly<Record<string, string>> = {},
): Promise<Buffer> {
  const socket = createConnection({ path });
  let got = Buffer.alloc(0);
  let closed = false;
  socket.on('data', (chunk) => {
    got = Buffer.concat([got, chunk]);
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    closed = true;
  });
  socket.write(startupMessage({ user: 'postgres', database: 'shop', ...parameters }));
  let asks = 1;
  const answered = () => closed || count(got, (type) => type === 'Z') >= asks || undefined;
  await until('the session to start', answered);
  for (const step of steps) {
    asks += count(step, (type) => ASKS.has(type));
    socket.write(step);
    await until('an answer', answered);
  }
  socket.destroy();
  return got;
}
