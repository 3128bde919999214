import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { CompiledOperationRule } from '#src/policy/types.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { governOperations } from '#src/proxy/operations.ts';
import type { Recognised } from '#src/proxy/recognise.ts';
import type { ByteFilter } from '#src/proxy/relay.ts';
import { policyOf } from '#test/support/policy-text.ts';
import { cancelRequest, message } from '#test/support/postgres-packets.ts';
import { STARTUP as raw, startup } from './recognised-startup.ts';

await loadParser();

const rule = (change: Partial<CompiledOperationRule> = {}): CompiledOperationRule => ({
  name: 'r',
  agents: [],
  destinations: ['db'],
  effects: ['schema-destruction'],
  relations: [],
  relationsOtherThan: null,
  functions: [],
  columns: [],
  columnsOtherThan: null,
  action: 'deny',
  reason: null,
  ...change,
});

const relay = { agentHead: null, serverHead: null, agentFilter: null, serverFilter: null };
const query = (text: string): Buffer => message('Q', Buffer.from(`${text}\0`));
const push = (filter: ByteFilter | null, ...bytes: Buffer[]): string =>
  Buffer.concat(filter?.push(Buffer.concat(bytes)) ?? []).toString('latin1');

t.test('statements are judged, counted, and denied with the rule and its reason', async (t) => {
  const governed = governOperations(
    [rule({ reason: 'no' }), rule({ name: 'o', effects: ['read'], action: 'observe' })],
    startup(),
    false,
  );
  const { agentFilter, serverFilter } = governed?.wrap(relay) ?? relay;
  const sent = push(agentFilter, raw, query('SELECT 1; SELECT 2'), query('DROP TABLE t'), query('SELEC'));
  t.ok(sent.startsWith(raw.toString('latin1')), 'the start-up packet is no message');
  t.strictSame(governed?.counts(), { total: 4, denied: 2, observed: 2 });
  const token = /sluice_denied_\w+/.exec(sent)?.[0] ?? '';
  const answer = push(serverFilter, message('E', Buffer.from(`M"${token}"\0\0`)));
  t.match(answer, /Sluice: DROP is denied by rule "r": no\0/);
});

t.test('the filter of authentication goes first', async (t) => {
  const governed = governOperations([rule()], startup(), false);
  const seen: string[] = [];
  const first: ByteFilter = {
    done: false,
    push: (chunk) => {
      seen.push(Buffer.from(chunk).toString('latin1'));
      return [message('Z', Buffer.from('I'))];
    },
  };
  const { serverFilter } = governed?.wrap({ ...relay, serverFilter: first }) ?? relay;
  t.equal(push(serverFilter, Buffer.from('x')), message('Z', Buffer.from('I')).toString('latin1'));
  t.strictSame(seen, ['x']);
  t.equal(serverFilter?.done, false);
});

t.test('where operations cannot be read there is nothing that governs', async (t) => {
  t.equal(governOperations([rule()], startup(true), false), null, 'replication');
  t.equal(governOperations([rule()], startup(false, true), false), null, 'a role set by the start-up');
  t.equal(governOperations([rule()], startup(), true), null, "the agent's own TLS");
  t.equal(governOperations([rule()], null, false), null, 'nobody looked');
  t.equal(governOperations([rule()], { protocol: 'unknown' } as Recognised, false), null);
});

t.test('a request to cancel passes', async (t) => {
  const cancel = { kind: 'cancel' as const, raw: cancelRequest(4) };
  const governed = governOperations(
    [rule()],
    { protocol: 'postgres', opening: cancel, rest: Buffer.alloc(0) },
    false,
  );
  t.equal(governed?.wrap(relay), relay);
  t.strictSame(governed?.counts(), { total: 0, denied: 0, observed: 0 });
});

t.test('a policy, and what tries to get around it', async (t) => {
  const fixtures = join(import.meta.dirname, '../../fixtures/postgres');
  const { operations } = policyOf(readFileSync(join(fixtures, 'evasions.yaml'), 'utf8'));
  const setting = (name: string, value: string): Buffer => message('S', Buffer.from(`${name}\0${value}\0`));
  const denied = (text: string): string => {
    const { agentFilter, serverFilter } =
      governOperations(operations, startup(), false)?.wrap(relay) ?? relay;
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
