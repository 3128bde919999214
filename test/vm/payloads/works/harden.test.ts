/**
 * `sluice unit harden` under a real systemd: what the unit of an agent that is root can do before, it cannot do after. A
 * unit of the daemon's name stands in for the daemon, so that the drop-in alone decides, and not the tier of the guest.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { must, run } from '#test/support/command.ts';
import { patience } from '#test/support/patience.ts';
import { COMMAND, CommandUnit, show, sluice, writeUnits } from '#test/support/systemd.ts';

t.setTimeout(120_000 * patience);
const UNIT = 'hardened.service';
const IDLE = 'idle.service';
const directory = mkdtempSync(join(tmpdir(), 'sluice-harden-'));
mkdirSync(dirname(COMMAND), { recursive: true });
if (!existsSync(COMMAND)) symlinkSync(join(import.meta.dirname, '../../../../bin/sluice'), COMMAND);
// Ready some time after it was started, as the daemon is: what is not ordered after it would start too early.
const daemon = `[Service]
RuntimeDirectory=sluice
ExecStart=/bin/sleep infinity
ExecStartPost=/bin/sh -c 'sleep 1; touch /run/sluice/api.sock'
`;
await writeUnits({ 'sluice.service': daemon });
t.teardown(async () => {
  const units = ['sluice.service', UNIT, IDLE];
  await run(['systemctl', 'stop', ...units]);
  const drops = units.map((unit) => [`${unit}.d/50-sluice.conf`, null] as const);
  await writeUnits(Object.fromEntries([...units.map((unit) => [unit, null] as const), ...drops]));
  rmSync(directory, { recursive: true });
});

/** Each way by its name, and what came of it. The numbers of system calls are every architecture's. */
const script = join(directory, 'agent.py');
writeFileSync(
  script,
  `import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(name, number, *args):
    code = libc.syscall(number, *args)
    print(name, "done" if code >= 0 else errno.errorcode[ctypes.get_errno()])
def family(name, *args):
    try:
        socket.socket(*args).close()
        print(name, "done")
    except OSError as e:
        print(name, errno.errorcode[e.errno])
family("packet", socket.AF_PACKET, socket.SOCK_RAW, 0)
family("obsolete", socket.AF_INET, 10, 0)
family("vsock", socket.AF_VSOCK, socket.SOCK_STREAM, 0)
family("netlink", socket.AF_NETLINK, socket.SOCK_RAW, 0)
call("io_uring", 425, 1, ctypes.create_string_buffer(120))
call("pidfd_getfd", 438, os.pidfd_open(os.getpid()), 1, 0)
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("NoNewPrivs")])
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
    print("tcp done")
`,
);
const agent = await CommandUnit.make(UNIT, directory, `/usr/bin/python3 ${script}`);

t.test('a unit that is not hardened', async (t) => {
  const done = await agent.run();
  t.match(done, { code: 0, output: /^packet done\n[\s\S]*netlink done\n[\s\S]*\['0'\]\ntcp done\n$/ });
  const check = await sluice('unit', 'harden', '--check', UNIT);
  t.match(check, {
    code: 1,
    stdout: /CapabilityBoundingSet= leaves CAP_NET_RAW CAP_NET_ADMIN CAP_SYS_ADMIN/,
  });
  t.equal(check.stdout.trimEnd().split('\n').length, 7, check.stdout);
});

t.test('hardened: none of it', async (t) => {
  const written = await sluice('unit', 'harden', '--write', UNIT);
  t.match(written, { code: 0, stdout: `systemctl daemon-reload && systemctl restart ${UNIT}` });
  await must(['systemctl', 'daemon-reload']);
  t.match(await sluice('unit', 'harden', '--check', UNIT), { code: 0, stdout: `${UNIT} lacks nothing\n` });
  t.match(await run(['systemd-analyze', 'verify', UNIT]), { code: 0, stdout: '', stderr: '' });
  t.match(await agent.run(), {
    code: 0,
    output: `packet EAFNOSUPPORT
obsolete EPERM
vsock EAFNOSUPPORT
netlink done
io_uring EPERM
pidfd_getfd EPERM
['1']
tcp done
`,
  });
});

t.test('what a unit has beside the drop-in and would keep is told', async (t) => {
  await writeUnits({ [`${UNIT}.d/10-own.conf`]: '[Service]\nAmbientCapabilities=CAP_NET_RAW\n' });
  const check = await sluice('unit', 'harden', '--check', UNIT);
  t.match(check, { code: 1, stdout: 'AmbientCapabilities= gives CAP_NET_RAW\n' });
  // Lists that would be merged with ours, and leave nothing of it.
  await writeUnits({
    [`${UNIT}.d/10-own.conf`]:
      '[Service]\nRestrictAddressFamilies=~AF_INET AF_PACKET\nSystemCallFilter=@system-service @io-event ptrace\nCapabilityBoundingSet=CAP_NET_RAW CAP_CHOWN\n',
  });
  t.match(await sluice('unit', 'harden', '--check', UNIT), { code: 0, stdout: /lacks nothing/ });
  await writeUnits({ [`${UNIT}.d/10-own.conf`]: null });
});

t.test('without the daemon it does not start, and a restart of the daemon leaves it alone', async (t) => {
  await writeUnits({ [IDLE]: '[Service]\nExecStart=/bin/sleep 600\n' });
  await must(['systemctl', 'start', IDLE]);
  t.match(await sluice('unit', 'harden', '--write', IDLE), { code: 0 });
  t.match(await sluice('unit', 'harden', '--check', IDLE), { code: 1 }, 'it runs as it was read');
  await must(['systemctl', 'daemon-reload']);
  await must(['systemctl', 'restart', IDLE]);
  const { MainPID: before } = await show(IDLE, 'MainPID');
  await must(['systemctl', 'restart', 'sluice']);
  t.match(await show(IDLE, 'MainPID', 'ActiveState'), { MainPID: before, ActiveState: 'active' });
  await must(['systemctl', 'stop', IDLE]);

  await must(['systemctl', 'stop', 'sluice']);
  await writeUnits({ 'sluice.service.d/never.conf': '[Unit]\nConditionPathExists=/nonexistent\n' });
  t.match(await run(['systemctl', 'start', IDLE]), { code: 1, stderr: /ssertion failed/ });
  await writeUnits({ 'sluice.service.d/never.conf': null });
  await must(['systemctl', 'start', IDLE]);
  t.equal((await show('sluice', 'ActiveState'))['ActiveState'], 'active', 'it starts the daemon');
  await must(['systemctl', 'stop', IDLE]);
});
