import t from 'tap';
import type { CompiledMask } from '#src/policy/types.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { NO_APPROVER } from '#src/proxy/approver.ts';
import { readInLayers } from '#src/proxy/layers.ts';
import { Catalogs, type Masked, maskFlow } from '#src/proxy/masking.ts';
import { governOperations } from '#src/proxy/operations.ts';
import type { Recognised } from '#src/proxy/recognise.ts';
import type { ByteFilter, RelayOptions } from '#src/proxy/relay.ts';
import { CARDS, engineOf, mask, SSN } from '#test/support/masks.ts';
import { authentication, cancelRequest, message, startupMessage } from '#test/support/postgres-packets.ts';
import { STARTUP as raw, startup } from './recognised-startup.ts';

await loadParser();
const relay = { agentHead: null, serverHead: null, agentFilter: null, serverFilter: null };
let nowMs = 0;
const clock = { now: () => new Date(0), monotonic: () => nowMs };
const catalogsOf = (): Catalogs => new Catalogs(clock as never);

function flow(
  masks: CompiledMask[],
  recognised: Recognised | null,
  agentTls = false,
  catalogs = catalogsOf(),
) {
  return maskFlow({ masks, engine: engineOf(masks), catalogs, recognised, agentTls, server: 's' });
}
const layered = (masked: Masked | null, before: RelayOptions = relay): RelayOptions =>
  readInLayers(before, null, masked?.reading ?? null);
const push = (filter: ByteFilter | null, ...bytes: Buffer[]): string =>
  Buffer.concat(filter?.push(Buffer.concat(bytes)) ?? []).toString('latin1');
const text = (value: string): Buffer => Buffer.from(`${value}\0`);
const ready = message('Z', Buffer.from('I'));
/** The last row of an answer: the highest number of a relation. */
const END = message(
  'D',
  Buffer.from([0, 7]),
  ...['0', '99999', '0', '', ''].flatMap((cell) => [Buffer.from([0, 0, 0, cell.length]), Buffer.from(cell)]),
  Buffer.alloc(8, 0xff),
);

t.test('what a server says is masked', async (t) => {
  const masked = flow([CARDS, mask({ name: 'o', detectors: ['card'], effect: 'observe' })], startup());
  const { serverFilter } = layered(masked);
  const notice = message('N', text('M4111111111111111'), Buffer.alloc(1));
  t.match(push(serverFilter, authentication(0), notice), /M\*{12}1111\0/);
  t.strictSame(masked?.counts(), { masked: 1, observed: 1, denied: 0 });
  t.strictSame(serverFilter?.back?.(), [], 'without columns nothing is asked');
});

t.test('the filters that are there already go first', async (t) => {
  const seen: string[] = [];
  const first = (name: string): ByteFilter => ({
    done: false,
    push: (chunk) => {
      seen.push(`${name} ${Buffer.from(chunk).toString('latin1')}`);
      return [];
    },
  });
  const before = { ...relay, agentFilter: first('agent'), serverFilter: first('server') };
  const { agentFilter, serverFilter } = layered(flow([CARDS], startup()), before);
  push(agentFilter, Buffer.from('x'));
  push(serverFilter, Buffer.from('y'));
  t.strictSame(seen, ['agent x', 'server y']);
});

t.test('the tables of a database are asked once for all its sessions, and again after a while', async (t) => {
  const catalogs = catalogsOf();
  const asks = (): boolean => {
    const { agentFilter, serverFilter } = layered(flow([SSN], startup(), false, catalogs));
    push(agentFilter, raw);
    push(serverFilter, authentication(0), ready);
    const question = serverFilter?.back?.() ?? [];
    if (question.length === 0) return false;
    push(serverFilter, message('1'), message('2'), END, message('C', text('SELECT 1')), message('3'), ready);
    return true;
  };
  t.ok(asks());
  t.notOk(asks());
  nowMs += 60_001;
  t.ok(asks());
  t.notOk(asks());
});

t.test(
  'a session that gets no answer is the only one that goes without, and asks again after a while',
  async (t) => {
    const catalogs = catalogsOf();
    const session = () => {
      const { agentFilter, serverFilter } = layered(flow([SSN], startup(), false, catalogs));
      push(agentFilter, raw);
      const pause = (): boolean => {
        push(serverFilter, ready);
        return (serverFilter?.back?.() ?? []).length > 0;
      };
      const select = (): string => {
        push(agentFilter, message('Q', text('select x from other')));
        const column = Buffer.from([
          0, 1, 120, 0, 0, 0, 78, 32, 0, 1, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0,
        ]);
        const row = message('D', Buffer.from([0, 1, 0, 0, 0, 1, 121]));
        return push(serverFilter, message('T', column), row, message('C', text('SELECT 1')));
      };
      push(serverFilter, authentication(0));
      return {
        pause,
        select,
        answer: (...said: Buffer[]) => push(serverFilter, message('1'), ...said, ready),
      };
    };
    const failing = session();
    t.ok(failing.pause());
    failing.answer(message('E', text('SERROR'), text('C42501'), Buffer.alloc(1)));
    t.match(failing.select(), /\*{8}/);
    t.notOk(failing.pause(), 'not at each pause');
    const other = session();
    t.ok(other.pause(), 'another asks itself');
    other.answer(message('2'), END, message('C', text('SELECT 1')), message('3'));
    t.notMatch(other.select(), /\*/);
    t.notMatch(failing.select(), /\*/, 'whose answer is good for all');
    failing.pause();
    nowMs += 60_001;
    t.match(failing.select(), /\*{8}/, 'while it is new');
    t.ok(failing.pause());
  },
);

t.test('where masks cannot be kept there is nothing that keeps them', async (t) => {
  t.equal(flow([CARDS], startup(true)), null, 'replication');
  t.equal(flow([CARDS], startup(), true), null, "the agent's own TLS");
  t.equal(flow([CARDS], null), null, 'nobody looked');
});

t.test('a request to cancel passes', async (t) => {
  const cancel = { kind: 'cancel' as const, raw: cancelRequest(4) };
  const masked = flow([CARDS], { protocol: 'postgres', opening: cancel, rest: Buffer.alloc(0) });
  t.equal(layered(masked), relay);
  t.equal(masked?.statements, null);
});

t.test(
  'what an agent says is masked: how it begins, statements where they are judged, values behind them',
  async (t) => {
    const requests = { ...CARDS, direction: 'requests' as const };
    const recognised = startup();
    if (recognised.protocol !== 'postgres' || recognised.opening.kind !== 'startup')
      throw new Error('no start-up');
    const named = startupMessage({ user: 'u', application_name: '4111111111111111' });
    const came = { ...recognised, opening: { ...recognised.opening, raw: named } };
    const masked = flow([requests], came);
    t.ok(
      masked?.recognised?.protocol === 'postgres' &&
        masked.recognised.opening.raw.includes('************1111'),
    );
    const governed = governOperations({
      rules: [],
      recognised: masked?.recognised ?? null,
      agentTls: false,
      approver: NO_APPROVER,
      flow: '00',
      agent: null,
      masks: masked?.statements ?? null,
      shown: null,
    });
    t.equal(governed?.counts(), null, 'no rules are counted');
    const { agentFilter, serverFilter } = readInLayers(
      relay,
      governed?.gating ?? null,
      masked?.reading ?? null,
    );
    push(
      agentFilter,
      masked?.recognised?.protocol === 'postgres' ? masked.recognised.opening.raw : Buffer.alloc(0),
    );
    push(serverFilter, authentication(0), ready);
    const bind = message('B', Buffer.from('\0\0\0\0\0\x01\0\0\0\x104111111111111111\0\0', 'latin1'));
    const parse = message('P', text(''), text("select $1, '4111111111111111'"), Buffer.alloc(2));
    const sent = push(agentFilter, parse, bind);
    t.notMatch(sent, /4111111111111111/);
    t.match(sent, /select \$1, '\*{12}1111'\0.*\*{12}1111/s);
    t.strictSame(masked?.counts(), { masked: 3, observed: 0, denied: 0 });
    t.match(push(agentFilter, message('Q', text('selec'))), /sluice_denied_/);
    t.match(masked?.counts(), { denied: 1 }, 'not understood');
    const unnamed = message('Q', text('select 1 as "4111111111111111"'));
    t.match(push(agentFilter, unnamed), /sluice_denied_/);
    t.match(masked?.counts(), { denied: 2 }, 'a name in which something is found');
    const cut = message('B', Buffer.from('\0\0\0\0\0\x01\0\0\0\x10', 'latin1'));
    t.match(push(agentFilter, cut), /sluice_denied_/);
    t.match(masked?.counts(), { denied: 3 }, 'parameters that cannot be read');
  },
);
