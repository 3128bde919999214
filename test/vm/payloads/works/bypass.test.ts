/**
 * The bypass matrix on this guest's kernel, with its own two network namespaces and capture. Debian's kernels have
 * protocols that others lack; what they do not load for whoever asks is loaded here, as an operator may have done.
 */
import { run } from '#test/support/command.ts';
import { makeWorkerUser } from '#test/support/systemd.ts';

const MODULES = [
  ...['tun', 'tls', 'sctp', 'l2tp_ip', 'l2tp_ip6', 'vsock', 'vsock_loopback'],
  ...['rds', 'tipc', 'kcm', 'smc', 'nfsv4', 'cifs'],
];

await makeWorkerUser();
// One that is missing makes its rows `not run`, which the result says.
for (const name of MODULES) await run(['modprobe', '--quiet', name]);
await import('#test/e2e/bypass.test.ts');
