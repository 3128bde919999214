"""What an agent does to be taken for somebody else, or for nobody: one function for each attempt.

Who is about to connect tells so first (scene.py). The witness and the flow records must agree with that. Steps that wait for
the test read a line of standard input.

usage: attempts.py ATTEMPT HOST PORT ARGUMENT...
"""
import array
import ctypes
import os
import socket
import sys
import threading

from scene import HOST, PORT, about_to_send, dial, give, libc, reach, send, step, take, tell, wait


# The plain one, and names of every kind.


def plain(size):
    send(dial(size), size)


def names_itself(size, name):
    """PR_SET_NAME: what the kernel calls the process in /proc/PID/stat and comm."""
    libc.prctl(15, ctypes.c_char_p(os.fsencode(name)), 0, 0, 0)
    open("/proc/self/comm", "wb").write(os.fsencode(name)[:15])
    send(dial(size), size)


# Who uses a socket is not who connected it.


def sends_after_exec(size, program):
    s = dial(size)
    os.set_inheritable(s.fileno(), True)
    s.setblocking(True)
    os.execv(program, [program, str(size), str(s.fileno())])


def execs_while_waiting(size, program):
    s = dial(size)
    s.setblocking(True)
    os.dup2(s.fileno(), 77, inheritable=True)
    step("connected")
    os.execv(program, [program, str(size), "77"])


def child_sends(size):
    s = dial(size)
    if os.fork() == 0:
        send(s, size)
        os._exit(0)
    s.close()
    os.wait()


def child_connects(size):
    """The parent made the socket, a child connects it, and the parent sends."""
    s = socket.socket()
    if os.fork() == 0:
        dial(size, s)
        os._exit(0)
    os.wait()
    s.settimeout(20)
    send(s, size)


def ends_while_waiting(size):
    """Everything is sent into the proxy's queue, and nobody is left when it is taken from there."""
    s = dial(size)
    s.sendall(b"a" * size)
    s.shutdown(socket.SHUT_WR)
    # The socket must outlive its process: closed with data unread it would be reset.
    if os.fork() == 0:
        os.setsid()
        libc.prctl(15, b"survivor", 0, 0, 0)
        step("left", pid=os.getpid())
        while s.recv(65536):
            pass
        os._exit(0)
    os._exit(0)


def gives_connected(size, path):
    s = dial(size)
    give(path, s)


def gives_unconnected(path):
    about_to_send(0)
    give(path, socket.socket())


def sends_what_it_took(size, path):
    s, line = take(path)
    s.settimeout(20)
    send(s, size)
    line.send(b"x")


def connects_what_it_took(size, path, seconds=20):
    s, line = take(path)
    try:
        send(dial(size, s, seconds), size)
    except OSError as error:
        tell(size=size, error=type(error).__name__)
    line.send(b"x")


def gives_datagrams(path, connected):
    about_to_send(0)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if connected:
        s.connect((HOST, 53))
    give(path, s)


def asks_by_what_it_took(path, label, connected):
    """A question for the address of LABEL.test, on a socket that was given."""
    s, line = take(path)
    about_to_send(0)
    question = b"\x12\x34\x01\x00\x00\x01" + bytes(6)
    question += bytes([len(label)]) + label.encode() + b"\x04test\x00\x00\x01\x00\x01"
    try:
        if connected:
            s.send(question)
        else:
            s.sendto(question, (HOST, 53))
        s.settimeout(1)
        s.recv(512)
    except OSError as error:
        tell(error=type(error).__name__)
    line.send(b"x")


def pools(size, path):
    """Keeps the connections, for others who give it what to send: as a pooler of database sessions does."""
    with socket.socket(socket.AF_UNIX) as u:
        u.bind("\0" + path)
        u.listen()
        step("taking")
        client = u.accept()[0]
        s = dial(size)
        left = size
        while left > 0:
            data = client.recv(left)
            s.sendall(data)
            left -= len(data)
        s.shutdown(socket.SHUT_WR)
        while data := s.recv(65536):
            client.sendall(data)


def asks_pooler(size, path):
    about_to_send(0)
    with socket.socket(socket.AF_UNIX) as u:
        u.connect("\0" + path)
        u.sendall(b"a" * size)
        while u.recv(65536):
            pass


def sets_option_of_what_it_took(path):
    s, line = take(path)
    about_to_send(0)
    try:
        s.setsockopt(socket.SOL_SOCKET, 25, b"lo")
    except OSError as error:
        tell(error=type(error).__name__)
    line.send(b"x")


def both_connect(path, size, rounds):
    """Each of two agents holds each socket; both call connect() at the same moment. Who wins sends its own size."""
    with socket.socket(socket.AF_UNIX) as u:
        u.bind("\0" + path)
        u.listen()
        step("taking")
        line = u.accept()[0]
    about_to_send(size)
    for _ in range(rounds):
        _, rights, _, _ = line.recvmsg(1, socket.CMSG_LEN(4))
        s = socket.socket(fileno=array.array("i", rights[0][2])[0])
        race(s, line, size)


def both_connect_giving(path, size, rounds):
    about_to_send(size)
    with socket.socket(socket.AF_UNIX) as u:
        reach(u, path)
        for _ in range(rounds):
            s = socket.socket()
            u.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
            race(s, u, size)


def race(s, line, size):
    s.setblocking(False)
    # The nearest to one moment: each waits for the other's word.
    line.send(b"x")
    line.recv(1)
    # EINPROGRESS for who began it. Who comes second is told EALREADY, or nothing if it is established by then.
    won = s.connect_ex((HOST, PORT)) == 115
    line.send(b"y")
    line.recv(1)
    if won:
        s.setblocking(True)
        send(s, size)
    s.close()
    tell(race=won)
    line.send(b"z")
    line.recv(1)


# What the process is when it connects.


def thread_connects(size):
    """A thread connects and ends; its process sends."""
    kept = []

    def run():
        kept.append(dial(size))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    send(kept[0], size)


def leader_ends(size):
    """The first thread ends; a second one, which is left alone, connects."""

    def run():
        threading.Event().wait(0.3)
        send(dial(size), size)
        os._exit(0)

    threading.Thread(target=run).start()
    libc.syscall(60 if os.uname().machine == "x86_64" else 93, 0)


def changes_user_while_waiting(size, uid):
    s = dial(size)
    s.setblocking(True)
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    step("connected")
    send(s, size)


def runs(size, program, *words):
    """Another program connects, which cannot tell for itself."""
    pid = os.fork()
    if pid == 0:
        about_to_send(size)
        os.execv(program, [program, str(size), HOST, str(PORT), *words])
    os.waitpid(pid, 0)


def runs_named(size, name, argument):
    """A program whose path is these bytes, in hexadecimal behind an x, with an argument as long as it takes."""
    program = bytes.fromhex(name[1:])
    pid = os.fork()
    if pid == 0:
        about_to_send(size)
        os.execv(program, [b"\n{\"event\":\"flow\"}", b"%d" % size, HOST.encode(), b"%d" % PORT, b"\033[2J" * argument])
    os.waitpid(pid, 0)


def is_born_elsewhere(size, cgroup):
    """clone3 with CLONE_INTO_CGROUP: it has never been anywhere else."""
    fd = os.open(cgroup, os.O_RDONLY)
    words = (ctypes.c_uint64 * 11)(0x200000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, fd)
    pid = libc.syscall(435, words, ctypes.sizeof(words))
    if pid == 0:
        send(dial(size), size)
        os._exit(0)
    os.waitpid(pid, 0)


def one_thread_changes_user(size, second, uid):
    """Credentials are a thread's: one of them becomes an agent's user, and then the other connects."""

    def run():
        libc.syscall(117, uid, uid, uid)
        about_to_send(size, thread=os.readlink("/proc/thread-self"))
        s = socket.create_connection((HOST, PORT), 20)
        send(s, size)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    send(dial(second), second)


def speaks_for(pid, text):
    """What a worker that was taken over can: writes to the standard error it was started with."""
    process = libc.syscall(434, pid, 0)
    fd = libc.syscall(438, process, 2, 0)
    if fd < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    os.write(fd, bytes.fromhex(text[1:]))


def asks_api(path):
    for attempt in range(3):
        try:
            with socket.socket(socket.AF_UNIX) as u:
                u.connect(path)
                u.sendall(b"GET /v1/status HTTP/1.1\r\nHost: sluice\r\n\r\n")
                tell(answer=u.recv(100).decode("latin1"))
        except OSError as error:
            tell(answer=type(error).__name__)


def runs_by_vfork(size, program):
    import subprocess

    done = subprocess.Popen([program, str(size), HOST, str(PORT)], close_fds=False)
    tell(size=size, pid=done.pid)
    done.wait()


def runs_deleted(size, program):
    """The file is gone when it connects: it waits for its socket's peer to be told."""
    pid = os.fork()
    if pid == 0:
        about_to_send(size)
        fd = os.open(program, os.O_RDONLY)
        os.unlink(program)
        os.execve(fd, [program, str(size), HOST, str(PORT)], {})
    os.waitpid(pid, 0)


def runs_replaced(size, program, other):
    pid = os.fork()
    if pid == 0:
        about_to_send(size)
        fd = os.open(program, os.O_RDONLY)
        os.rename(other, program)
        os.execve(fd, [program, str(size), HOST, str(PORT)], {})
    os.waitpid(pid, 0)


def runs_memfd(size, program, name):
    fd = libc.memfd_create(ctypes.c_char_p(os.fsencode(name)), 0)
    os.write(fd, open(program, "rb").read())
    pid = os.fork()
    if pid == 0:
        about_to_send(size)
        os.execve(fd, [program, str(size), HOST, str(PORT)], {})
    os.waitpid(pid, 0)


def lies_by_mounts(size, program, place):
    """A mount namespace in which a file of its own lies where a trusted program is, and /proc is a fake."""
    assert libc.unshare(0x00020000) == 0
    assert libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None) == 0
    about = {}
    pid = os.fork()
    if pid == 0:
        about_to_send(size)
        assert libc.mount(os.fsencode(program), os.fsencode(place), None, 0x1000, None) == 0
        fake = program + "-proc"
        mine = f"{fake}/{os.getpid()}"
        os.makedirs(mine)
        os.symlink("/usr/bin/true", f"{mine}/exe")
        open(f"{mine}/stat", "w").write("1 (init) S 0\n")
        open(f"{mine}/cgroup", "w").write("0::/elsewhere\n")
        assert libc.mount(os.fsencode(fake), b"/proc", None, 0x1000, None) == 0
        os.execv(place, [place, str(size), HOST, str(PORT)])
    os.waitpid(pid, 0)
    return about


# Sockets and ports that are used again.


def same_port(size, port):
    """By IP_LOCAL_PORT_RANGE, for agents may not bind(); tries until the last connection from there is forgotten."""
    for _ in range(600):
        s = socket.socket()
        s.setsockopt(socket.IPPROTO_IP, 51, (port << 16 | port).to_bytes(4, sys.byteorder))
        try:
            s.connect((HOST, PORT))
        except OSError:
            s.close()
            threading.Event().wait(0.1)
            continue
        about_to_send(size)
        tell(port=s.getsockname()[1])
        send(s, size)
        return
    sys.exit("the port stays taken")


def disconnects(size, path):
    """Connects, dissolves that by AF_UNSPEC, and gives the socket away."""
    s = socket.socket()
    s.connect((HOST, PORT))
    assert libc.connect(s.fileno(), b"\0" * 16, 16) == 0
    give(path, s)


def connects_again(first, second):
    s = dial(first)
    s.sendall(b"a" * first)
    s.shutdown(socket.SHUT_WR)
    while s.recv(65536):
        pass
    assert libc.connect(s.fileno(), b"\0" * 16, 16) == 0
    s.connect((HOST, PORT))
    about_to_send(second)
    send(s, second)


def to_proxy(ports):
    tell(size=0, pid=int(os.readlink("/proc/self")))
    for port in ports.split(","):
        s = socket.socket()
        s.settimeout(20)
        try:
            s.connect(("127.0.0.1", int(port)))
            s.sendall(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
            tell(answer=s.recv(100).decode("latin1"))
        except OSError as error:
            tell(answer=type(error).__name__)
        s.close()


# Where the process is.


def moves_while_waiting(size):
    s = dial(size)
    s.setblocking(True)
    step("connected")
    wait()
    send(s, size)


def stays():
    """Does what it is told, line by line: `send SIZE`, `exit`."""
    step("ready", pid=int(os.readlink("/proc/self")), tid=libc.syscall(186))
    for line in sys.stdin:
        words = line.split()
        if words[0] == "send":
            size = int(words[1])
            try:
                send(dial(size), size)
                step("sent")
            except OSError as error:
                step("refused", error=type(error).__name__)
        elif words[0] == "thread":
            started = threading.Event()
            told = threading.Event()
            sizes = [int(words[1])]

            def run():
                step("thread", tid=libc.syscall(186))
                told.wait()
                plain(sizes[0])
                step("sent")

            threading.Thread(target=run).start()
            sys.stdin.readline()
            told.set()
        else:
            return


def wants_pid(size, pid):
    """clone3 with set_tid: a child of that number and no other, whoever else is given numbers meanwhile."""
    number = ctypes.c_int32(pid)
    words = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(number), 1, 0)
    child = libc.syscall(435, words, ctypes.sizeof(words))
    if child == 0:
        send(dial(size), size)
        os._exit(0)
    if child < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    os.waitpid(child, 0)
    step("had")


def converted(word):
    return int(word) if word.isdigit() else word


globals()[sys.argv[1]](*[converted(word) for word in sys.argv[4:]])
