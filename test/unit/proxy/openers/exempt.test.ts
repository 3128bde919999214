import t from 'tap';
import { destination, plainServer, policy, readAll, rule, TestProxy } from '../harness.ts';

t.test('an exempt flow leaves as it is, also when its server speaks first', async (t) => {
  const server = await plainServer(t.teardown, (s) => {
    s.write('220 plain\r\n');
    s.on('end', () => s.end('bye'));
  });
  const exempt = policy([destination()], [rule({ action: 'exempt', reason: 'an old printer' })]);
  const proxy = await TestProxy.start(t.teardown, exempt);
  const agent = await proxy.agent({ port: server.port });
  agent.end('print me');
  t.equal((await readAll(agent)).toString(), '220 plain\r\nbye');
  t.equal(server.received().toString(), 'print me');
  t.match(await proxy.report(), {
    disposition: 'exempt',
    verdict: 'allow',
    reason: 'ok',
    protocol: 'opaque',
    tls: null,
    dst: { host: null, host_source: null },
    bytes: { agent_to_server: 8, server_to_agent: 14 },
  });
});
