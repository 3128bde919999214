/**
 * Sessions in which masks hold: recorded ones with things done to their messages, in both directions, look-ups of the
 * database's tables among them. What is masked leaves in no format, however the framing around it is broken.
 */
import fc from 'fast-check';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { readInLayers } from '#src/proxy/layers.ts';
import { Catalogs, maskFlow } from '#src/proxy/masking.ts';
import { CARDS, engineOf, SSN } from '#test/support/masks.ts';
import { messagesOf, recorded, type Turn } from '#test/support/recorded-sessions.ts';
import { wipe } from '#test/support/splits.ts';
import { cut, cuts, edit, edited, type Target } from '../target.ts';

await loadParser();

const CLIENTS = ['psql', 'psycopg', 'asyncpg', 'dbdpg'] as const;
const SESSIONS = CLIENTS.map(recorded);
const MASKS = [CARDS, SSN];
const ENGINE = engineOf(MASKS);
const CLOCK = { now: () => 0, monotonic: () => 0 };

const INT8 = Buffer.alloc(8);
INT8.writeBigInt64BE(4111111111111111n);
/** Found by what they are, wherever they stand. */
const FOUND = ['4111111111111111', '4111 1111 1111 1111'].map((secret) => Buffer.from(secret, 'latin1'));
/** Masked for their column, and whatever the framing makes of the row it is that row's value. */
const OF_COLUMN = ['078-05-1120', '219-09-9999'].map((secret) => Buffer.from(secret, 'latin1'));
/** What is held of messages that are not whole: one row or one description, and what is decided with it. */
const HELD_MAX = 4 << 20;

interface Played {
  /** What the agent got, up to the error if there was one. */
  readonly agent: Buffer;
  readonly server: Buffer;
  readonly error: string | null;
}

/** @throws what is no error of protocols */
function play(turns: readonly Turn[], lengths: readonly number[] | null): Played {
  const raw = turns[0]?.bytes ?? Buffer.alloc(0);
  const opening = {
    kind: 'startup',
    raw,
    user: 'u',
    database: 'd',
    major: 3,
    minor: 0,
    replication: false,
    privileged: false,
  } as const;
  const masked = maskFlow({
    masks: MASKS,
    engine: ENGINE,
    catalogs: new Catalogs(CLOCK),
    recognised: { protocol: 'postgres', opening, rest: Buffer.alloc(0) },
    agentTls: false,
    server: 's',
  });
  const none = { agentHead: null, serverHead: null, agentFilter: null, serverFilter: null };
  const { agentFilter, serverFilter } = readInLayers(none, null, masked?.reading ?? null);
  if (agentFilter === null || serverFilter === null) throw new Error('nothing is masked');
  const [agent, server]: [Uint8Array[], Uint8Array[]] = [[], []];
  let held = 0;
  const end = (error: string | null): Played => ({
    agent: Buffer.concat(agent),
    server: Buffer.concat(server),
    error,
  });
  for (const { from, bytes } of turns) {
    for (const piece of lengths === null ? [Buffer.from(bytes)] : cut(bytes, lengths)) {
      held += piece.length;
      try {
        for (const part of (from === 'C' ? agentFilter : serverFilter).push(piece)) {
          (from === 'C' ? server : agent).push(Buffer.from(part));
          held -= part.length;
        }
        serverFilter.back?.();
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        return end(error.message);
      }
      if (held > HELD_MAX) throw new Error(`${held} bytes are held`);
      wipe(piece);
    }
  }
  return end(null);
}

function checkAlike(turns: readonly Turn[], lengths: readonly number[]): Played {
  const whole = play(turns, null);
  const other = play(turns, lengths);
  if ((whole.error === null) !== (other.error === null))
    throw new Error(`${other.error} when cut, and ${whole.error} when not`);
  // What came out before an error, and which of two it is, depends on how much was there.
  if (whole.error !== null) return { ...whole, agent: Buffer.concat([whole.agent, other.agent]) };
  if (!whole.agent.equals(other.agent)) throw new Error('the agent gets something else when cut');
  if (!whole.server.equals(other.server)) throw new Error('the server gets something else when cut');
  return whole;
}

function checkNone(played: Played, secrets: readonly Buffer[]): void {
  for (const secret of secrets)
    if (played.agent.includes(secret)) throw new Error(`the agent gets ${secret.toString('latin1')}`);
}

/** What is done to the framing; places are taken modulo the messages there are. */
type Change =
  | { readonly kind: 'drop'; readonly at: number }
  | { readonly kind: 'double'; readonly at: number }
  | { readonly kind: 'swap'; readonly at: number }
  | { readonly kind: 'type'; readonly at: number; readonly letter: string }
  | { readonly kind: 'length'; readonly at: number; readonly by: number }
  | { readonly kind: 'put'; readonly at: number; readonly of: number };

const at = fc.nat({ max: 2_000 });
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant('drop' as const), at }),
  fc.record({ kind: fc.constant('double' as const), at }),
  fc.record({ kind: fc.constant('swap' as const), at }),
  fc.record({
    kind: fc.constant('type' as const),
    at,
    letter: fc.constantFrom(...'123ACDEGHIKNRSTVWZcdnstv'),
  }),
  fc.record({ kind: fc.constant('length' as const), at, by: fc.constantFrom(-1, 1, -4, 4, 100, 70_000) }),
  fc.record({ kind: fc.constant('put' as const), at, of: at }),
);

function reframed(bytes: Buffer, changes: readonly Change[]): Buffer {
  const messages = messagesOf(bytes).map((message) => Buffer.from(message));
  for (const each of changes) {
    const place = each.at % Math.max(messages.length, 1);
    const message = messages[place];
    if (message === undefined || message.length < 5) continue;
    if (each.kind === 'drop') messages.splice(place, 1);
    else if (each.kind === 'double') messages.splice(place, 0, Buffer.from(message));
    else if (each.kind === 'swap') messages.splice(place, 2, ...messages.slice(place, place + 2).reverse());
    else if (each.kind === 'type') message.write(each.letter, 0, 'latin1');
    else if (each.kind === 'length') message.writeUInt32BE((message.readUInt32BE(1) + each.by) >>> 0, 1);
    else if (each.kind === 'put')
      messages.splice(place, 0, Buffer.from(messages[each.of % messages.length] ?? message));
  }
  return Buffer.concat(messages);
}

const session = fc.nat({ max: SESSIONS.length - 1 });
/** One of the turns of one side. */
const pick = fc.nat({ max: 200 });

/** The session with something done to one turn of one side. */
function altered(index: number, side: Turn['from'], turn: number, alter: (bytes: Buffer) => Buffer): Turn[] {
  const turns = SESSIONS[index] ?? [];
  // The start-up packet was read before.
  const own = turns.flatMap((each, place) => (each.from === side && place > 0 ? [place] : []));
  const chosen = own[turn % own.length];
  return turns.map((each, place) => (place === chosen ? { ...each, bytes: alter(each.bytes) } : each));
}

/**
 * Whose column a value is, the server says: not where a row becomes words, or comes behind the description of another
 * result.
 */
const WORDS: ReadonlySet<string> = new Set('ENASTC');
const keepsRows = (changes: readonly Change[]): boolean =>
  changes.every((each) => each.kind === 'type' && !WORDS.has(each.letter));

/** What the database says of its tables is believed: without a row of it a column is nobody's. */
function altersTables(index: number, turns: readonly Turn[]): boolean {
  return (SESSIONS[index] ?? []).some(
    (turn, place) => turn.bytes.includes('["id"') && turns[place]?.bytes.equals(turn.bytes) === false,
  );
}

export const SESSION_TARGETS: readonly Target[] = [
  {
    name: 'masked-session-framing',
    holds: 'however the messages of a server are framed, no masked value reaches the agent',
    rounds: 250,
    property: () =>
      fc.property(
        session,
        pick,
        fc.array(change, { minLength: 1, maxLength: 4 }),
        cuts,
        (index, turn, changes, lengths) => {
          const turns = altered(index, 'S', turn, (bytes) => reframed(bytes, changes));
          const played = checkAlike(turns, lengths);
          checkNone(
            played,
            keepsRows(changes) && !altersTables(index, turns) ? [...FOUND, INT8, ...OF_COLUMN] : FOUND,
          );
        },
      ),
  },
  {
    name: 'masked-session-answers',
    holds: 'whatever bytes a server sends: what is masked of them, or the error of protocols',
    rounds: 150,
    property: () =>
      fc.property(
        session,
        pick,
        fc.array(edit, { minLength: 1, maxLength: 5 }),
        cuts,
        (index, turn, edits, lengths) => {
          checkAlike(
            altered(index, 'S', turn, (bytes) => edited(bytes, edits)),
            lengths,
          );
        },
      ),
  },
  {
    name: 'masked-session-questions',
    holds: 'whatever bytes an agent sends: no card that the server answers with reaches it',
    rounds: 150,
    property: () =>
      fc.property(
        session,
        pick,
        fc.array(edit, { minLength: 1, maxLength: 5 }),
        cuts,
        (index, turn, edits, lengths) => {
          checkNone(
            checkAlike(
              altered(index, 'C', turn, (bytes) => edited(bytes, edits)),
              lengths,
            ),
            FOUND,
          );
        },
      ),
  },
];
