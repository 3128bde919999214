import t from 'tap';
import type { CompiledMask, CompiledOperationRule } from '#src/policy/types.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { NO_APPROVER } from '#src/proxy/approver.ts';
import { readInLayers } from '#src/proxy/layers.ts';
import { Catalogs, maskFlow } from '#src/proxy/masking.ts';
import { governOperations } from '#src/proxy/operations.ts';
import { strictMasks } from '#src/proxy/strict-masks.ts';
import { CARDS, engineOf, mask, SSN } from '#test/support/masks.ts';
import { operationRule } from '#test/support/operation-rule.ts';
import { message } from '#test/support/postgres-packets.ts';
import { STARTUP as raw, startup } from './recognised-startup.ts';

await loadParser();
const unknown = () => null;
const STRICT: CompiledMask = { ...SSN, strict: true };
const judged = (masks: CompiledMask[], sql: string) =>
  strictMasks(masks, unknown)?.(Buffer.from(sql)) ?? null;

t.test('what takes a masked column elsewhere is denied by the mask', async (t) => {
  t.match(judged([CARDS, STRICT], 'create table t as select ssn from people'), {
    sqlState: '42501',
    message: 'Sluice: the statement would take masked values elsewhere (mask "ssn")',
  });
  t.match(judged([STRICT], 'do $$ begin end $$'), { message: /may take masked values elsewhere/ });
  t.equal(judged([STRICT], 'select ssn from people'), null);
  t.equal(judged([STRICT], 'insert into others select 1'), null);
});

t.test('numbers change nothing of it, whichever of them came first', async (t) => {
  for (const n of [1, 2, 3]) {
    t.equal(judged([STRICT], `select name from people where id = ${n}`), null);
    t.match(judged([STRICT], `create table t${n} as select ssn from people where id = ${n}`), {
      sqlState: '42501',
    });
  }
});

t.test('only masks that are strict, in force, and for responses deny', async (t) => {
  t.equal(strictMasks([SSN, CARDS], unknown), null);
  t.equal(strictMasks([{ ...STRICT, effect: 'observe' }], unknown), null);
  t.equal(strictMasks([mask({ ...STRICT, direction: 'requests' })], unknown), null);
});

/** A session under that mask, past its start. */
function begun(rules: readonly CompiledOperationRule[]) {
  const masks = [STRICT];
  const flow = maskFlow({
    masks,
    engine: engineOf(masks),
    catalogs: new Catalogs({ now: () => 0, monotonic: () => 0 }),
    recognised: startup(),
    agentTls: false,
    server: 's',
  });
  const governed = governOperations({
    rules,
    recognised: startup(),
    agentTls: false,
    approver: NO_APPROVER,
    flow: '00',
    agent: null,
    masks: flow?.statements ?? null,
    shown: null,
  });
  const none = { agentHead: null, serverHead: null, agentFilter: null, serverFilter: null };
  const { agentFilter } = readInLayers(none, governed?.gating ?? null, flow?.reading ?? null);
  agentFilter?.push(raw);
  const sent = (sql: string): string => {
    const parts = agentFilter?.push(message('Q', Buffer.from(`${sql}\0`))) ?? [];
    return Buffer.concat(parts).toString('latin1', 5);
  };
  return { flow, governed, sent };
}

t.test('a flow with such a mask has its statements judged, without any rule about operations', async (t) => {
  const { flow, governed, sent } = begun([]);
  t.equal(sent('select ssn from people'), 'select ssn from people\0');
  t.match(sent('create table t as select ssn from people'), /^sluice_denied_/);
  t.equal(governed?.counts(), null);
  t.match(flow?.counts(), { masked: 0, denied: 1 });
});

t.test('where there are rules as well each counts its own', async (t) => {
  const { flow, governed, sent } = begun([operationRule({ effects: ['code'] })]);
  for (const sql of ['do $$ begin end $$', 'create table t as select ssn from people', 'selec', 'select 1'])
    sent(sql);
  t.match(governed?.counts(), { total: 4, denied: 2 });
  t.match(flow?.counts(), { denied: 1 });
});
