/**
 * What only the BPF LSM refuses, tried for real: by a process that opens sockets while it is nobody, and then becomes
 * an agent with them in its hands. Python, so that a guest without a compiler can run it.
 */
import { type Finished, must } from './command.ts';
import type { World } from './world.ts';

export interface AttemptsOptions {
  /** Directory of the cgroup to enter between opening and using; null: a bystander, who enters none. */
  readonly cgroup: string | null;
  /** Where plain TCP is accepted, and datagrams may be sent. */
  readonly address: string;
  readonly port: number;
  /** The device that leads there. */
  readonly device: string;
  /** In everything that is sent, with the name of the attempt behind it. */
  readonly canary: string;
  /** Paths of one listening Unix socket: its own, and others that lead there. */
  readonly unix: Readonly<Record<string, string>>;
}

/** `ok`, or the errno by name, of each attempt. */
export type Attempts = Readonly<Record<string, string>>;

const PROGRAM = `
import array, ctypes, errno, json, os, socket, struct, sys, tempfile
c = json.loads(sys.argv[1])
out = {}
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, work):
    try:
        work()
        out[name] = 'ok'
    except OSError as e:
        out[name] = errno.errorcode.get(e.errno, str(e.errno))
def text(name):
    return (c['canary'] + '-' + name + ';').encode()
there = (c['address'], c['port'])
def unix(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    return s

# While it is nobody.
tcp = socket.create_connection(there)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect(there)
listener = socket.create_server(('127.0.0.1', 0))
waiting = socket.create_connection(listener.getsockname())
frames = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
def unseen(protocol):
    try:
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
        s.setblocking(False)
        return s
    except OSError:
        return None
sctp, multipath = unseen(132), unseen(262)
engine = unix(c['unix']['own'])
give, take = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
for s in (tcp, engine):
    give.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [s.fileno()]))])
parked, unpark = os.pipe()
child = os.fork()
if child == 0:
    os.close(unpark)
    os.read(parked, 1)
    os._exit(0)
if c['cgroup']:
    with open(c['cgroup'] + '/cgroup.procs', 'w') as f:
        f.write('0')

for name, family, kind in (('packet', 17, 3), ('vsock', 40, 1), ('can', 29, 3), ('bluetooth', 31, 5), ('xdp', 44, 3),
                           ('tipc', 30, 5), ('mctp', 45, 2), ('obsolete-packet', 2, 10),
                           ('netlink', 16, 3), ('cipher', 38, 5)):
    attempt(name, lambda: socket.socket(family, kind).close())

attempt('send', lambda: tcp.send(text('send')))
attempt('write', lambda: os.write(tcp.fileno(), text('write')))
def from_file(name, work):
    with tempfile.TemporaryFile() as f:
        f.write(text(name))
        f.flush()
        f.seek(0)
        work(f)
attempt('sendfile', lambda: from_file('sendfile', lambda f: os.sendfile(tcp.fileno(), f.fileno(), 0, 200)))
def splice(f):
    r, w = os.pipe()
    os.write(w, f.read())
    os.splice(r, tcp.fileno(), 200)
attempt('splice', lambda: from_file('splice', splice))
attempt('udp', lambda: udp.send(text('udp')))
attempt('inherited-packet', lambda: frames.sendto(text('inherited-packet') * 4, (c['device'], 0x0800, 0, 0, b'\\xff' * 6)))
listener.settimeout(60)
attempt('accept', lambda: listener.accept())
def received():
    data, controls, flags, _ = take.recvmsg(1, 64)
    if not controls or not controls[0][2]:
        raise OSError(errno.EPERM, 'no descriptor')
    return struct.unpack('i', controls[0][2][:4])[0]
attempt('scm-rights', lambda: os.write(received(), text('scm-rights')))
attempt('scm-rights-unix', lambda: received())
def stolen():
    pidfd = os.pidfd_open(child)
    fd = libc.syscall(438, pidfd, tcp.fileno(), 0)
    if fd < 0:
        raise OSError(ctypes.get_errno(), 'pidfd_getfd')
    os.write(fd, text('pidfd'))
attempt('pidfd', stolen)
for name, path in c['unix'].items():
    attempt('unix-' + name, lambda: unix(path))
attempt('unix-inherited', lambda: engine.send(b'x'))
def local():
    with tempfile.TemporaryDirectory() as d:
        s = socket.socket(socket.AF_UNIX)
        s.bind(d + '/s')
        s.listen()
        unix(d + '/s').send(b'x')
attempt('unix-open', local)
# Nobody answers SCTP there: a connection that is under way has not been refused.
if multipath:
    attempt('connect-mptcp', lambda: multipath.connect(there))
class Connectx(ctypes.Structure):
    _fields_ = [('id', ctypes.c_int), ('length', ctypes.c_int), ('addresses', ctypes.c_char_p)]
if sctp:
    address = struct.pack('=H', socket.AF_INET) + struct.pack('!H4s8x', there[1], socket.inet_aton(there[0]))
    wanted = Connectx(0, len(address), address)
    length = ctypes.c_int(ctypes.sizeof(wanted))
    def by_getsockopt():
        if libc.getsockopt(sctp.fileno(), 132, 111, ctypes.byref(wanted), ctypes.byref(length)) < 0:
            raise OSError(ctypes.get_errno(), 'getsockopt')
    attempt('connect-sctp', lambda: sctp.connect(there))
    attempt('connectx-sctp', lambda: sctp.setsockopt(132, 110, address))
    attempt('connectx-get-sctp', by_getsockopt)
def begin_mount(kind):
    context = libc.syscall(430, kind, 0)
    if context < 0:
        raise OSError(errno.ENODEV, 'fsopen')
    result = libc.syscall(431, context, 1, b'source', b'x', 0)
    error = ctypes.get_errno()
    os.close(context)
    if result < 0:
        raise OSError(error, 'fsconfig')
for kind in ('sockfs', 'tmpfs', 'debugfs', 'ext4', 'proc'):
    attempt('mount-' + kind, lambda: begin_mount(kind.encode()))
with tempfile.TemporaryDirectory() as d:
    def mount(kind):
        if libc.mount(b'x', d.encode(), kind, 0, b'') < 0:
            raise OSError(ctypes.get_errno(), 'mount')
        libc.umount2(d.encode(), 2)
    attempt('mount-call-tmpfs', lambda: mount(b'tmpfs'))
    attempt('mount-call-nfs', lambda: mount(b'nfs4'))
own = socket.socket()
own.settimeout(60)
attempt('own-connect', lambda: own.connect(there))
os.close(unpark)
os.waitpid(child, 0)
print(json.dumps(out))
`;

/** Runs all attempts on the near side, as root. */
export async function tryAll(world: World, options: AttemptsOptions): Promise<Attempts> {
  const text = await must(world.near.wrap(['python3', '-c', PROGRAM, JSON.stringify(options)]), {
    timeoutMs: 120_000,
  });
  return JSON.parse(text) as Attempts;
}

/** Connects to a Unix socket from within a cgroup. */
export function connectFrom(world: World, cgroup: string, path: string): Promise<Finished> {
  const program = `import socket, sys
open(sys.argv[1] + '/cgroup.procs', 'w').write('0')
socket.socket(socket.AF_UNIX).connect(sys.argv[2])`;
  return world.near.run(['python3', '-c', program, cgroup, path]);
}
