"""More connections at once than a queue has room for, while nobody accepts them.

    queued-agents.py ADDRESS PORT NUMBER KEPT MARKER

Connects NUMBER sockets, sends a request on each that is established, and says how many are, how many wait and what
failed, when that does not change any more. Told to go on by a line, it resets all that are established but the first
KEPT, and then says how many of those that are left were answered with their own request.
"""

import collections
import errno
import json
import resource
import select
import socket
import struct
import sys

address, port, number, kept, marker = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
resource.setrlimit(resource.RLIMIT_NOFILE, (number + 64, number + 64))
poll = select.epoll()
sockets, waiting, established, failed = {}, set(), [], collections.Counter()


def request(fd):
    path = f"/secret/{marker}-{fd}-"
    sockets[fd].send(f"GET {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n".encode())


def gone(fd, code):
    failed[errno.errorcode.get(code, str(code))] += 1
    waiting.discard(fd)
    poll.unregister(fd)
    sockets.pop(fd).close()


def settle(fd):
    code = sockets[fd].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        return gone(fd, code)
    waiting.discard(fd)
    established.append(fd)
    poll.modify(fd, select.EPOLLIN)
    request(fd)


for _ in range(number):
    s = socket.socket()
    s.setblocking(False)
    sockets[s.fileno()] = s
    poll.register(s.fileno(), select.EPOLLOUT)
    waiting.add(s.fileno())
    code = s.connect_ex((address, port))
    if code not in (0, errno.EINPROGRESS):
        gone(s.fileno(), code)

QUIET = 30  # of a tenth of a second: three times the wait before a SYN is sent again
quiet = 0
# Looks are counted, and not time: what is ready counts although this process was kept from looking.
while quiet < QUIET:
    quiet += 1
    for fd, _ in poll.poll(0.1, 1024):
        if fd in waiting:
            settle(fd)
            quiet = 0
print("queued", json.dumps({"established": len(established), "waiting": len(waiting), "failed": failed}), flush=True)
sys.stdin.readline()

for fd in established[kept:]:
    poll.unregister(fd)
    s = sockets.pop(fd)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
print("reset", flush=True)

answers, answered = collections.defaultdict(bytes), 0
while sockets:
    for fd, _ in poll.poll(1, 1024):
        if fd in waiting:
            settle(fd)
            continue
        try:
            data = sockets[fd].recv(65536)
        except OSError as error:
            gone(fd, error.errno)
            continue
        answers[fd] += data
        if not data:
            answered += f"{marker}-{fd}-".encode() in answers[fd]
            poll.unregister(fd)
            sockets.pop(fd).close()
print("served", json.dumps({"answered": answered, "failed": failed}), flush=True)
