import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { CompiledOperationRule } from '#src/policy/types.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { type Approver, NO_APPROVER, type Question } from '#src/proxy/approver.ts';
import { readInLayers } from '#src/proxy/layers.ts';
import { Catalogs, maskFlow } from '#src/proxy/masking.ts';
import { type Governed, governOperations } from '#src/proxy/operations.ts';
import type { Recognised } from '#src/proxy/recognise.ts';
import type { ByteFilter, RelayOptions } from '#src/proxy/relay.ts';
import { CARDS, engineOf } from '#test/support/masks.ts';
import { operationRule as rule } from '#test/support/operation-rule.ts';
import { policyOf } from '#test/support/policy-text.ts';
import { authentication, cancelRequest, message, uint32 } from '#test/support/postgres-packets.ts';
import { STARTUP as raw, startup } from './recognised-startup.ts';

await loadParser();

const HOLD = rule({ action: 'hold', holdTimeoutMs: 60_000 });

const relay = { agentHead: null, serverHead: null, agentFilter: null, serverFilter: null };
const govern = (
  rules: readonly CompiledOperationRule[],
  recognised: Recognised | null,
  agentTls: boolean,
  approver = NO_APPROVER,
) =>
  governOperations({
    rules,
    recognised,
    agentTls,
    approver,
    flow: '00',
    agent: 'a',
    masks: null,
    shown: null,
  });
const layered = (governed: Governed | null, before: RelayOptions = relay): RelayOptions =>
  readInLayers(before, governed?.gating ?? null, null);
const query = (text: string): Buffer => message('Q', Buffer.from(`${text}\0`));
const push = (filter: ByteFilter | null, ...bytes: Buffer[]): string =>
  Buffer.concat(filter?.push(Buffer.concat(bytes)) ?? []).toString('latin1');

t.test('statements are judged, counted, and denied with the rule and its reason', async (t) => {
  const governed = govern(
    [rule({ reason: 'no' }), rule({ name: 'o', effects: ['read'], action: 'observe' })],
    startup(),
    false,
  );
  const { agentFilter, serverFilter } = layered(governed);
  const sent = push(agentFilter, raw, query('SELECT 1; SELECT 2'), query('DROP TABLE t'), query('SELEC'));
  t.ok(sent.startsWith(raw.toString('latin1')), 'the start-up packet is no message');
  t.strictSame(governed?.counts(), { total: 4, denied: 2, held: 0, approved: 0, observed: 2, holds: [] });
  const token = /sluice_denied_\w+/.exec(sent)?.[0] ?? '';
  const answer = push(serverFilter, message('E', Buffer.from(`M"${token}"\0\0`)));
  t.match(answer, /Sluice: DROP is denied by rule "r": no\0/);
});

t.test('a statement that is judged and refused afterwards is counted once', async (t) => {
  const prepared = (name: string, sql: string): Buffer =>
    message('P', Buffer.from(`${name}\0${sql}\0`), Buffer.alloc(2));
  const { approver } = approverOf();
  const long = query(`SELECT '${'x'.repeat(131_072)}'`);
  for (const [what, refused] of [
    ['it changes how texts are read', query('SET standard_conforming_strings = off')],
    ['EXECUTE that is prepared', prepared('', 'EXECUTE a')],
    ['a name of more than 63 characters', prepared('n'.repeat(64), 'DROP TABLE t')],
    ['nobody judges what is too long', long],
    ['nor what is no SQL', query('SELEC')],
  ] as const) {
    const governed = govern([HOLD], startup(), false, approver);
    t.match(push(layered(governed).agentFilter, raw, refused), /sluice_denied/, what);
    t.match(governed?.counts(), { total: 1, denied: 1, held: 0 }, what);
  }
});

t.test('values that are refused for a statement are no other statement', async (t) => {
  const { approver } = approverOf();
  const governed = govern([HOLD], startup(), false, approver);
  const { agentFilter } = layered(governed);
  const parsed = message('P', Buffer.from('s\0DROP TABLE t\0'), Buffer.alloc(2));
  const values = message('B', Buffer.from('\0s\0'), Buffer.alloc(131_073));
  t.match(push(agentFilter, raw, parsed, values), /DROP TABLE t.*sluice_denied/s);
  t.match(governed?.counts(), { total: 1, denied: 1, held: 0 });
});

t.test('the filter of authentication goes first', async (t) => {
  const governed = govern([rule()], startup(), false);
  const seen: string[] = [];
  const first: ByteFilter = {
    done: false,
    push: (chunk) => {
      seen.push(Buffer.from(chunk).toString('latin1'));
      return [message('Z', Buffer.from('I'))];
    },
  };
  const { serverFilter } = layered(governed, { ...relay, serverFilter: first });
  t.equal(push(serverFilter, Buffer.from('x')), message('Z', Buffer.from('I')).toString('latin1'));
  t.strictSame(seen, ['x']);
  t.equal(serverFilter?.done, false);
});

t.test('where operations cannot be read there is nothing that governs', async (t) => {
  t.equal(govern([rule()], startup(true), false), null, 'replication');
  t.equal(govern([rule()], startup(false, true), false), null, 'a role set by the start-up');
  t.equal(govern([rule()], startup(), true), null, "the agent's own TLS");
  t.equal(govern([rule()], null, false), null, 'nobody looked');
  t.equal(govern([rule()], { protocol: 'unknown' } as Recognised, false), null);
});

/** Keeps what it is asked. */
function approverOf() {
  const asked: Question[] = [];
  const approver: Approver = {
    ask: (question) => {
      asked.push(question);
      return () => undefined;
    },
    refused: () => undefined,
  };
  return { approver, asked };
}

t.test('what is held waits for its answer, which wakes the relay', async (t) => {
  const { approver, asked } = approverOf();
  const governed = govern([HOLD], startup(), false, approver);
  const { agentFilter } = layered(governed);
  let woken = 0;
  agentFilter?.onReady?.(() => {
    woken += 1;
  });
  t.equal(push(agentFilter, raw, query('DROP TABLE t'), query('SELECT 1')).length, raw.length);
  t.match(asked, [{ held: { flow: '00', agent: 'a', verbs: ['DROP'] } }]);
  t.notOk(agentFilter?.full);
  push(agentFilter, query(`SELECT '${'x'.repeat(65_536)}'`));
  t.ok(agentFilter?.full);
  t.equal(woken, 0);
  asked[0]?.answered({ outcome: 'approved', reason: null, by: null });
  t.equal(woken, 1);
  t.match(push(agentFilter), /^Q....DROP TABLE t\0Q....SELECT 1\0Q/s);
  t.notOk(agentFilter?.full);
  t.match(governed?.counts(), { total: 3, denied: 0, held: 1, approved: 1 });
});

t.test(
  'an agent that ends its side, or the session, gets the statement denied and nothing else held',
  async (t) => {
    for (const ends of ['its side', 'the session', 'the flow']) {
      const { approver, asked } = approverOf();
      const governed = govern([HOLD], startup(), false, approver);
      const { agentFilter } = layered(governed);
      push(agentFilter, raw, query('DROP TABLE t'), query('DROP TABLE u'));
      if (ends === 'the flow') governed?.close();
      const sent = ends === 'its side' ? agentFilter?.end?.() : agentFilter?.push(message('X'));
      t.match(
        Buffer.concat(sent ?? []).toString('latin1'),
        /^Q....sluice_denied_\w+\0Q....sluice_denied/s,
        ends,
      );
      t.equal(asked.length, 1);
      t.match(governed?.counts(), { total: 2, denied: 2, held: 2, approved: 0 });
    }
  },
);

t.test('the record has the newest of what had to wait', async (t) => {
  const governed = govern([HOLD], startup(), false);
  push(
    layered(governed).agentFilter,
    raw,
    ...Array.from({ length: 20 }, (_, n) => query(`DROP TABLE t${n}`)),
  );
  const { held, holds } = governed?.counts() ?? {};
  t.equal(held, 20);
  t.equal(holds?.length, 16);
  t.match(holds?.at(-1), { what: 'DROP t19', rule: 'r', outcome: 'refused' });
});

t.test('without an approver what would have to wait is denied', async (t) => {
  const governed = govern([HOLD], startup(), false);
  t.match(push(layered(governed).agentFilter, raw, query('DROP TABLE t')), /sluice_denied/);
  t.match(governed?.counts(), { denied: 1, held: 1 });
});

t.test('masks see what the gate has made of each message, cut once', async (t) => {
  const { approver, asked } = approverOf();
  const governed = govern([HOLD, rule({ effects: ['code'] })], startup(), false, approver);
  const masks = [CARDS];
  const masked = maskFlow({
    masks,
    engine: engineOf(masks),
    catalogs: new Catalogs({ now: () => new Date(0), monotonic: () => 0 } as never),
    recognised: startup(),
    agentTls: false,
    server: 's',
  });
  const { agentFilter, serverFilter } = readInLayers(
    relay,
    governed?.gating ?? null,
    masked?.reading ?? null,
  );
  const text = (value: string): Buffer => Buffer.from(`${value}\0`);
  const ready = message('Z', Buffer.from('I'));
  push(serverFilter, authentication(0), ready);
  const sent = push(agentFilter, raw, query('DO $$ $$'), query('SELECT 1'), query('DROP TABLE t'));
  const token = /sluice_denied_\w+/.exec(sent)?.[0] ?? '';
  t.match(
    push(serverFilter, message('E', text(`M"${token}"`), Buffer.alloc(1)), ready),
    /DO is denied by rule/,
  );
  const column = Buffer.concat([
    text('c'),
    Buffer.alloc(6),
    uint32(25),
    Buffer.from([255, 255]),
    uint32(0xffff_ffff),
    Buffer.alloc(2),
  ]);
  const described = message('T', Buffer.from([0, 1]), column);
  const row = message('D', Buffer.from([0, 1]), uint32(16), Buffer.from('4111111111111111'));
  const answer = push(serverFilter, described, row, message('C', text('SELECT 1')), ready);
  t.match(answer, /\*{12}1111/, 'while a statement waits');
  asked[0]?.answered({ outcome: 'approved', reason: null, by: null });
  t.match(push(agentFilter), /^Q....DROP TABLE t\0$/s);
  t.match(push(serverFilter, message('C', text('DROP TABLE')), ready), /DROP TABLE/);
});

t.test('a request to cancel passes unread', async (t) => {
  const cancel = { kind: 'cancel' as const, raw: cancelRequest(4) };
  const flow = { protocol: 'postgres' as const, opening: cancel, rest: Buffer.alloc(0) };
  const governed = govern([rule()], flow, false);
  t.equal(layered(governed), relay);
  t.strictSame(governed?.counts(), { total: 0, denied: 0, held: 0, approved: 0, observed: 0, holds: [] });
});

t.test('what waits is cancelled in the words of the server', async (t) => {
  const { approver } = approverOf();
  const governed = govern([HOLD], startup(), false, approver);
  const { agentFilter, serverFilter } = layered(governed);
  push(agentFilter, raw, query('DROP TABLE t'));
  governed?.cancel();
  const token = /sluice_denied_\w+/.exec(push(agentFilter))?.[0] ?? '';
  t.match(push(serverFilter, message('E', Buffer.from(`M"${token}"\0\0`))), /57014.*canceling statement/s);
  governed?.cancel();
  t.match(governed?.counts(), { denied: 1, held: 1 });
});

t.test('a policy, and what tries to get around it', async (t) => {
  const fixtures = join(import.meta.dirname, '../../fixtures/postgres');
  const { operations } = policyOf(readFileSync(join(fixtures, 'evasions.yaml'), 'utf8'));
  const setting = (name: string, value: string): Buffer => message('S', Buffer.from(`${name}\0${value}\0`));
  const denied = (text: string): string => {
    const { agentFilter, serverFilter } = layered(govern(operations, startup(), false));
    push(serverFilter, setting('client_encoding', 'UTF8'), setting('standard_conforming_strings', 'on'));
    push(agentFilter, raw);
    const sent = push(agentFilter, query(text));
    const token = /sluice_denied_\w+/.exec(sent)?.[0];
    if (token === undefined) return sent === query(text).toString('latin1') ? '-' : 'changed';
    const answer = push(serverFilter, message('E', Buffer.from(`M"${token}"\0\0`)));
    return /denied by rule "(\w+)"/.exec(answer)?.[1] ?? 'refused';
  };
  const seen = new Set<string>();
  let stopped = 0;
  for (const line of readFileSync(join(fixtures, 'evasions.txt'), 'utf8').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, name = '', expected = '', text = ''] = /^(.+?) \| (\S+) \| (.*)$/.exec(line) ?? [];
    t.notOk(seen.has(name), `${name} stands there once`);
    seen.add(name);
    t.equal(
      denied(text.replaceAll('\\n', '\n').replaceAll('\\t', '\t').replaceAll('\\\\', '\\')),
      expected,
      name,
    );
    if (expected !== '-') stopped += 1;
  }
  t.ok(stopped >= 150, `${stopped} evasions`);
});
