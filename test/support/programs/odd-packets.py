"""Packets with something between the address and the port, or cut into fragments, by sockets a process had before.

    odd-packets.py IPV4 IPV6 USER

Opens raw sockets and datagram sockets, becomes USER, says so, and waits for a line. Then it sends one packet
of each kind, each with "ODD-kind-" in it, and says what the kernel answered.
"""

import errno
import os
import socket
import struct
import sys

ipv4, ipv6, user = sys.argv[1], sys.argv[2], int(sys.argv[3])
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, DONT = 10, 23, 0
raw4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
raw6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
udp4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp4.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, DONT)
udp6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp6.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, DONT)
udp6.connect((ipv6, 9))  # for its own address
if user:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def text(kind):
    return f"ODD-{kind}-".encode().ljust(64, b".")


def udp(kind):
    return struct.pack(">HHHH", 4000, 9, 8 + 64, 0) + text(kind)


def send4(kind, fragment=0, options=b"", version=4):
    body = udp(kind)
    first = version << 4 | 5 + len(options) // 4
    # The kernel fills in source, length and checksum.
    head = struct.pack(">BBHHHBBH4s4s", first, 0, 0, 7, fragment, 64, 17, 0, bytes(4), socket.inet_aton(ipv4))
    raw4.sendto(head + options + body, (ipv4, 0))


own6 = udp6.getsockname()[0]


def send6(kind, following, extension):
    body = extension + udp(kind)
    head = struct.pack(">IHBB", 6 << 28, len(body), following, 64)
    addresses = socket.inet_pton(socket.AF_INET6, own6) + socket.inet_pton(socket.AF_INET6, ipv6)
    raw6.sendto(head + addresses + body, (ipv6, 0))


def cut(socket, address, kind):
    # Again: who is made an agent loses what was connected before.
    socket.connect((address, 9))
    socket.send(text(kind) * 50)


padding = struct.pack(">BB", 17, 0) + b"\x01\x04\x00\x00\x00\x00"
KINDS = {
    "first4": lambda kind: send4(kind, fragment=0x2000),
    "later4": lambda kind: send4(kind, fragment=0x0010),
    "options4": lambda kind: send4(kind, options=b"\x01\x01\x01\x00"),
    "first6": lambda kind: send6(kind, 44, struct.pack(">BBHI", 17, 0, 1, 7)),
    "later6": lambda kind: send6(kind, 44, struct.pack(">BBHI", 17, 0, 0x0100, 7)),
    "atomic6": lambda kind: send6(kind, 44, struct.pack(">BBHI", 17, 0, 0, 7)),
    "hopopts6": lambda kind: send6(kind, 0, padding),
    "dstopts6": lambda kind: send6(kind, 60, padding),
    "routing6": lambda kind: send6(kind, 43, struct.pack(">BBBBI", 17, 0, 4, 0, 0)),
    "auth6": lambda kind: send6(kind, 51, struct.pack(">BBHIII", 17, 2, 0, 1, 1, 0)),
    # Longer than the way is wide: the kernel cuts these, the hook sees them whole.
    "cut4": lambda kind: cut(udp4, ipv4, kind),
    "cut6": lambda kind: cut(udp6, ipv6, kind),
}
print("there", flush=True)
for line in sys.stdin:
    kind = line.strip()
    try:
        KINDS[kind](kind)
        print(kind, "sent", flush=True)
    except OSError as error:
        print(kind, errno.errorcode.get(error.errno, error.errno), flush=True)
