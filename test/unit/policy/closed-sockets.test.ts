import t from 'tap';
import { CLOSED_BY_DEFAULT, closedSockets } from '#src/policy/closed-sockets.ts';

t.test('the default list, less what is allowed, and what is denied', async (t) => {
  t.same(closedSockets({ version: 1 }), [...CLOSED_BY_DEFAULT]);
  const own = closedSockets({
    version: 1,
    unix_sockets: { allow: ['/run/dbus/system_bus_socket'], deny: ['/run/engine.sock', '/run/docker.sock'] },
  });
  t.notOk(own.includes('/run/dbus/system_bus_socket'));
  t.equal(own.at(-1), '/run/engine.sock');
  t.equal(own.filter((path) => path === '/run/docker.sock').length, 1, 'each once');
  t.ok(own.includes('/run/systemd/private'));
});
