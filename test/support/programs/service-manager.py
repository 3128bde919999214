"""A service manager for one service, as far as a restart needs one: it keeps the descriptors the service stores
(sd_notify(3), FDSTORE=1) and gives them to the next one (sd_listen_fds(3)).

    service-manager.py SOCKET COMMAND...

SIGHUP restarts the service: SIGTERM, and when it has ended, the command again; while it lasts there is a file
SOCKET.restart. Every other signal is passed on, and when the service ends by itself so does the manager.
"""

import fcntl
import os
import select
import signal
import socket
import sys

path, command = sys.argv[1], sys.argv[2:]
restart = path + ".restart"
MOST = 500  # descriptors in the store
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(path)
notify.setblocking(False)
store = {}


def begin():
    pid = os.fork()
    if pid:
        return pid
    environment = dict(os.environ, NOTIFY_SOCKET=path, INVOCATION_ID="0" * 32)
    if store:
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, 3 + MOST) for fd in store.values()]
        os.closerange(3, 3 + MOST)
        for number, fd in enumerate(moved):
            os.dup2(fd, 3 + number)
            os.close(fd)
        environment.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(moved)), LISTEN_FDNAMES=":".join(store))
    os.execvpe(command[0], command, environment)


def hear():
    while True:
        try:
            text, descriptors, _, _ = socket.recv_fds(notify, 4096, 16)
        except BlockingIOError:
            return
        said = dict(line.split("=", 1) for line in text.decode().split("\n") if "=" in line)
        name = said.get("FDNAME", "")
        if said.get("FDSTORE") == "1" and len(store) < MOST:
            for fd in descriptors:
                store[name] = fd
        elif said.get("FDSTOREREMOVE") == "1" and name in store:
            os.close(store.pop(name))


woken, wake = socket.socketpair()
for end in (woken, wake):
    end.setblocking(False)
for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGCHLD):
    signal.signal(number, lambda *_: None)
signal.set_wakeup_fd(wake.fileno())
service = begin()
while True:
    ready, _, _ = select.select([notify, woken], [], [])
    hear()
    for number in woken.recv(64) if woken in ready else b"":
        if number == signal.SIGHUP:
            open(restart, "w").close()
            os.kill(service, signal.SIGTERM)
        elif number != signal.SIGCHLD:
            os.kill(service, number)
        elif (ended := os.waitpid(service, os.WNOHANG))[0]:
            if not os.path.exists(restart):
                code = os.waitstatus_to_exitcode(ended[1])
                sys.exit(code if code >= 0 else 128 - code)
            hear()  # what it stored before it ended
            os.unlink(restart)
            service = begin()
