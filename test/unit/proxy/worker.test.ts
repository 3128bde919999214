import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import type { CompiledPolicy } from '#src/policy/types.ts';
import { busyPoll } from '#src/proxy/busy-poll.ts';
import type { WorkerMessage } from '#src/proxy/ipc.ts';
import { BATCH_DELAY_MS } from '#src/proxy/report-batch.ts';
import { Worker } from '#src/proxy/worker.ts';
import { makeCertificates, SERVER_NAME } from '#test/support/certificates.ts';
import { until as untilTrue } from '#test/support/command.ts';
import { mask } from '#test/support/masks.ts';
import { destination, endOf, plainServer, policy, readAll, readBytes, rule, TestProxy } from './harness.ts';

const certificates = await makeCertificates((remove) => t.teardown(remove));
const tls = {
  serverName: SERVER_NAME,
  ca: certificates.ca,
  minVersion: 'TLSv1.2',
  negotiation: 'postgres',
  clientCertificate: null,
} as const;
const until = (condition: () => boolean): Promise<unknown> => untilTrue('the worker to say so', condition);
/** With something to compile. */
const masking = (revision: string): CompiledPolicy => ({
  ...exempt,
  revision,
  masks: [mask({ detectors: ['card', 'email', 'iban'] })],
});
const exempt = policy([destination({ tls })], [rule({ action: 'exempt', reason: 'a test' })]);

t.test('who is no agent is reset and recorded', async (t) => {
  const proxy = await TestProxy.start(t.teardown, exempt);
  t.equal(await endOf(await proxy.agent(null)), 'ECONNRESET');
  const { kernel, report } = await proxy.flow();
  t.equal(kernel, null);
  t.match(report, {
    id: /^[0-9a-f]{16}$/,
    reason: 'not_an_agent',
    verdict: 'deny',
    disposition: 'denied',
    src: { ip: '127.0.0.1', port: Number },
    dst: { ip: null, port: null },
  });
});

t.test('at its limit a worker refuses and says so', async (t) => {
  const server = await plainServer(t.teardown, (s) => s.write('x'));
  const proxy = await TestProxy.start(t.teardown, exempt, { maxFlows: 1 });
  const first = await proxy.agent({ port: server.port });
  await readBytes(first, 1);
  t.equal(await endOf(await proxy.agent({ port: server.port })), 'ECONNRESET');
  t.match(await proxy.flow(), {
    kernel: /^[0-9a-f]{192}$/,
    report: { reason: 'overloaded', verdict: 'error' },
  });
  t.equal(server.connections, 1);
  first.resetAndDestroy();
  await proxy.report();
  await readBytes(await proxy.agent({ port: server.port }), 1);
  t.pass('and takes flows again when one has ended');
});

t.test('descriptors bound the flows too', async (t) => {
  const server = await plainServer(t.teardown, (s) => s.write('x'));
  const limits = 'Max open files            131                131               files\n';
  const proxy = await TestProxy.start(t.teardown, exempt, { limits });
  await readBytes(await proxy.agent({ port: server.port }), 1);
  t.equal(await endOf(await proxy.agent({ port: server.port })), 'ECONNRESET');
  t.match(await proxy.report(), { reason: 'overloaded' });
});

t.test('stop lets flows finish, and cuts those that do not', async (t) => {
  const server = await plainServer(t.teardown, (s) => {
    s.write('x');
    s.once('data', () => s.end('done'));
  });
  const proxy = await TestProxy.start(t.teardown, exempt);
  const finishing = await proxy.agent({ port: server.port });
  const staying = await proxy.agent({ port: server.port });
  await readBytes(finishing, 1);
  await readBytes(staying, 1);
  const stopped = proxy.worker.stop(200);
  finishing.end('last words');
  t.equal((await readAll(finishing)).toString(), 'done');
  t.equal(await endOf(staying), 'ECONNRESET');
  await stopped;
  const reports = [await proxy.report(), await proxy.report()];
  t.same(reports.map((report) => report.reason).sort(), ['ok', 'worker_died']);
  t.equal(proxy.worker.openFlows, 0);
});

t.test('a retired worker carries its flows on, and speaks again when it is adopted', async (t) => {
  const server = await plainServer(t.teardown, (s) => {
    s.write('x');
    s.once('data', () => s.end('done'));
  });
  const proxy = await TestProxy.start(t.teardown, exempt);
  const said = (type: string): number => proxy.messages.filter((message) => message.type === type).length;
  const [first, second] = [
    await proxy.agent({ port: server.port }),
    await proxy.agent({ port: server.port }),
  ];
  await readBytes(first, 1);
  await readBytes(second, 1);
  const retire = { type: 'retire', graceMs: 60_000, outlive: false, daemonStays: false } as const;
  void proxy.worker.handle(retire);
  await until(() => said('retired') === 1);
  first.end('last words');
  t.equal((await readAll(first)).toString(), 'done');
  await until(() => proxy.worker.openFlows === 1);
  await setTimeout(2 * BATCH_DELAY_MS);
  t.equal(said('flows'), 0, 'silent');
  await proxy.worker.handle({ type: 'adopted' });
  t.match(await proxy.report(), { reason: 'ok' });

  void proxy.worker.handle(retire);
  await until(() => said('retired') === 2);
  second.end('last words');
  t.equal((await readAll(second)).toString(), 'done');
  await until(() => proxy.worker.openFlows === 0);
  t.equal(said('drained'), 0, 'silent again');
  await proxy.worker.handle({ type: 'adopted' });
  t.match(await proxy.report(), { reason: 'ok' });
  await until(() => said('drained') === 1);
});

t.test('what does not end in the time it has is cut', async (t) => {
  const server = await plainServer(t.teardown, (s) => s.write('x'));
  const proxy = await TestProxy.start(t.teardown, exempt);
  const agent = await proxy.agent({ port: server.port });
  await readBytes(agent, 1);
  void proxy.worker.handle({ type: 'retire', graceMs: 0, outlive: false, daemonStays: false });
  t.equal(await endOf(agent), 'ECONNRESET');
  await until(() => proxy.messages.some(({ type }) => type === 'retired'));
  await proxy.worker.handle({ type: 'adopted' });
  t.match(await proxy.report(), { reason: 'drain_timeout', verdict: 'error', disposition: 'exempt' });
});

t.test('every connection of a storm has one report', async (t) => {
  const server = await plainServer(t.teardown, (s) => s.on('end', () => s.end('x')));
  const proxy = await TestProxy.start(t.teardown, exempt, { maxFlows: 1_000 });
  const count = 300;
  for (let started = 0; started < count; started += 1) {
    const agent = await proxy.agent({ port: server.port });
    if (started % 3 === 0) agent.resetAndDestroy();
    else if (started % 3 === 1) agent.destroy();
    else agent.end('x');
    agent.resume();
  }
  const ids = new Set<string>();
  for (let reported = 0; reported < count; reported += 1) ids.add((await proxy.report()).id);
  t.equal(ids.size, count);
});

t.test('what a worker is handed for another network namespace it uses or closes', async (t) => {
  const closed: number[] = [];
  const sent: WorkerMessage[] = [];
  const listened: number[] = [];
  const worker = new Worker({
    send: (message) => void sent.push(message),
    readFlow: () => null,
    closeFd: (fd) => void closed.push(fd),
    systemCa: () => '',
    duplicateFd: (fd) => fd + 100,
    listen: (server, fd) => {
      listened.push(fd);
      server.listen(0, '127.0.0.1');
    },
  });
  const netnsCookie = 4_097n;
  await worker.handle({
    type: 'init',
    worker: 1,
    policy: exempt,
    listeners: [],
    maxFlows: 10,
    busyPollUs: 60,
  });
  t.teardown(() => busyPoll.set(0));
  t.equal(busyPoll.microseconds, 60, 'and it polls as long as it is told to');
  worker.handleNamespace({ type: 'sockets', netnsCookie, family: 4 }, [1]);
  worker.handleNamespace({ type: 'listen', netnsCookie, families: [4, 6] }, [2]);
  t.same(closed, [1, 2], 'of no namespace it knows; descriptors that were lost on the way');
  worker.handleNamespace({ type: 'listen', netnsCookie, families: [4, 6] }, [3, 4]);
  t.same(listened, [103, 104], 'on duplicates: what it was handed it keeps');
  worker.handleNamespace({ type: 'listen', netnsCookie, families: [4, 6] }, [5, 6]);
  t.same(listened, [103, 104, 105, 106], 'more of them: it stands in for a worker that is no more');
  t.same(closed.splice(0), [1, 2]);
  worker.handleNamespace({ type: 'sockets', netnsCookie, family: 4 }, [7, 8]);
  worker.handleNamespace({ type: 'close', netnsCookie }, []);
  t.same(closed.sort(), [3, 4, 5, 6, 7, 8], 'it keeps nothing of a namespace without agents');
  worker.handleNamespace({ type: 'close', netnsCookie }, []);
  await worker.stop(0);
});

t.test('nobody is let in before the first policy is compiled', async (t) => {
  const listened: number[] = [];
  const worker = new Worker({
    send: () => undefined,
    readFlow: () => null,
    closeFd: () => undefined,
    systemCa: () => '',
    duplicateFd: (fd) => fd,
    listen: (server, fd) => {
      listened.push(fd);
      server.listen(0, '127.0.0.1');
    },
  });
  const init = {
    type: 'init',
    worker: 1,
    policy: masking('aaaaaaaaaaaa'),
    maxFlows: 10,
    busyPollUs: 0,
  } as const;
  const begun = worker.handle({ ...init, listeners: [{ fd: 7, family: 4 }] });
  worker.handleNamespace({ type: 'listen', netnsCookie: 5n, families: [4] }, [8]);
  await new Promise(setImmediate);
  t.same(listened, []);
  await begun;
  t.same(listened.sort(), [7, 8]);
  await worker.stop(0);
});

t.test(
  'detectors are compiled beside the event loop, and the policy that came last is in force',
  async (t) => {
    const proxy = await TestProxy.start(t.teardown, exempt);
    let turns = 0;
    const turn = (): void => {
      turns += 1;
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    // The second has nothing to compile.
    const revisions = ['bbbbbbbbbbbb', 'cccccccccccc'];
    const policies = [masking('bbbbbbbbbbbb'), { ...exempt, revision: 'cccccccccccc' }];
    await Promise.all(policies.map((policy) => proxy.worker.handle({ type: 'policy', policy })));
    clearImmediate(next);
    t.ok(turns > 0, 'the loop went on');
    const applied = proxy.messages.filter(({ type }) => type === 'policy-applied');
    t.match(
      applied,
      revisions.map((revision) => ({ revision })),
    );
    proxy.target = null;
    const { port } = await plainServer(t.teardown, (socket) => socket.end('x'));
    const agent = await proxy.agent({ port });
    agent.end();
    await readAll(agent);
    t.match((await proxy.report()).policy_revision, 'cccccccccccc');
  },
);

t.test('a policy whose detectors cannot be compiled is not put in force', async (t) => {
  const proxy = await TestProxy.start(t.teardown, exempt);
  const broken: CompiledPolicy = { ...masking('bbbbbbbbbbbb'), maskKeys: null as never };
  await t.rejects(proxy.worker.handle({ type: 'policy', policy: broken }));
  const { port } = await plainServer(t.teardown, (socket) => socket.end('x'));
  const agent = await proxy.agent({ port });
  agent.end();
  await readAll(agent);
  t.match((await proxy.report()).policy_revision, exempt.revision);
});

t.test(
  'a worker that is retired takes no listener: connections wait there for whoever is next',
  async (t) => {
    const closed: number[] = [];
    const sent: WorkerMessage['type'][] = [];
    const worker = new Worker({
      send: ({ type }) => void sent.push(type),
      readFlow: () => null,
      closeFd: (fd) => void closed.push(fd),
      systemCa: () => '',
      listen: () => t.fail('it listened'),
    });
    const retired = worker.handle({ type: 'retire', graceMs: 60_000, outlive: true, daemonStays: false });
    worker.handleNamespace({ type: 'listen', netnsCookie: 5n, families: [4, 6] }, [3, 4]);
    t.same(closed, [3, 4]);
    while (!sent.includes('retired')) await new Promise((resolve) => setImmediate(resolve));
    worker.handleNamespace({ type: 'listen', netnsCookie: 5n, families: [4] }, [5]);
    t.same(closed, [3, 4, 5]);
    await worker.handle({ type: 'adopted' });
    await retired;
  },
);
