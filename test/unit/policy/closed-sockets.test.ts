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

t.test(
  'container engines and virtual machines, systemd, D-Bus and resolvers are closed by default',
  async (t) => {
    for (const path of [
      ...[
        '/run/docker.sock',
        '/run/containerd/containerd.sock',
        '/run/podman/podman.sock',
        '/run/crio/crio.sock',
      ],
      ...['/run/buildkit/buildkitd.sock', '/run/user/*/docker.sock', '/run/user/*/podman/podman.sock'],
      ...[
        '/run/user/*/containerd-rootless/api.sock',
        '/run/libvirt/libvirt-sock',
        '/run/libvirt/virtqemud-sock',
      ],
      ...['/var/lib/lxd/unix.socket', '/var/snap/lxd/common/lxd/unix.socket', '/var/lib/incus/unix.socket'],
      ...['/run/snapd.socket', '/run/systemd/private', '/run/user/*/systemd/private'],
      ...['/run/dbus/system_bus_socket', '/run/user/*/bus'],
      ...['/run/systemd/resolve/io.systemd.Resolve', '/run/nscd/socket'],
    ])
      t.ok(CLOSED_BY_DEFAULT.includes(path), path);
  },
);
