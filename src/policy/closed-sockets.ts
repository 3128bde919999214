/**
 * Unix sockets behind which somebody does an agent's bidding, and goes off the host in its place. Where the kernel
 * has the BPF LSM they are closed to agents: those below, unless policy allows one, and those policy adds. A component
 * may be `*`, for any name.
 */
import type { PolicyDocument } from './document.ts';

export const CLOSED_BY_DEFAULT: readonly string[] = [
  // Container engines: a container is no child of who asked for it.
  '/run/docker.sock',
  '/run/containerd/containerd.sock',
  '/run/podman/podman.sock',
  '/run/crio/crio.sock',
  '/run/buildkit/buildkitd.sock',
  '/run/user/*/docker.sock',
  '/run/user/*/podman/podman.sock',
  '/run/user/*/containerd-rootless/api.sock',
  // Virtual machines, likewise.
  '/run/libvirt/libvirt-sock',
  '/run/libvirt/virtqemud-sock',
  '/var/lib/lxd/unix.socket',
  '/var/snap/lxd/common/lxd/unix.socket',
  '/var/lib/incus/unix.socket',
  '/run/snapd.socket',
  // systemd, directly and over D-Bus: transient units, and everything else that is reached by a bus.
  '/run/systemd/private',
  '/run/dbus/system_bus_socket',
  '/run/user/*/systemd/private',
  '/run/user/*/bus',
  // Names: what is resolved by others is no question of the agent's, and gives its connections no name.
  '/run/systemd/resolve/io.systemd.Resolve',
  '/run/nscd/socket',
];

/** All that a policy closes, in the order of the list and of policy. */
export function closedSockets({ unix_sockets: sockets = {} }: PolicyDocument): string[] {
  const allowed = new Set(sockets.allow ?? []);
  return [...new Set([...CLOSED_BY_DEFAULT.filter((path) => !allowed.has(path)), ...(sockets.deny ?? [])])];
}
