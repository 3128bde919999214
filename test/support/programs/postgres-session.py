"""A PostgreSQL client that shows what no driver does: the key to cancel with, and what is answered before a session.

    postgres-session.py session HOST PORT USER DATABASE [--before gss,ssl] [--minor N] [--set NAME=VALUE]... [--flag y]
    postgres-session.py cancel HOST PORT PROCESS KEY

`session` (for users that need no password; with --flag the first word of SCRAM is said, and no more) prints a line of JSON for each thing it learns, then runs each line of its
input as a query. `cancel` says how the connection ended. KEY is hexadecimal.
"""
import json
import socket
import struct
import sys

CANCEL, SSL, GSS = 80877102, 80877103, 80877104


def tell(**what):
    print(json.dumps(what), flush=True)


def receive(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def message(sock):
    kind, length = struct.unpack("!cI", receive(sock, 5))
    return kind, receive(sock, length - 4)


def error(body):
    fields = dict((part[:1].decode(), part[1:].decode()) for part in body.split(b"\0") if part)
    return {"severity": fields.get("V"), "code": fields["C"], "message": fields["M"]}


def session(host, port, user, database, *options):
    before, minor, flag, settings = [], 0, None, {"user": user, "database": database}
    for name, value in zip(options[::2], options[1::2]):
        if name == "--before":
            before = value.split(",")
        elif name == "--minor":
            minor = int(value)
        elif name == "--flag":
            flag = value
        else:
            settings.update([value.split("=", 1)])
    sock = socket.create_connection((host, int(port)))
    for what in before:
        sock.sendall(struct.pack("!II", 8, {"ssl": SSL, "gss": GSS}[what]))
        tell(asked=what, answer=receive(sock, 1).decode())
    body = b"".join(text.encode() + b"\0" for pair in settings.items() for text in pair) + b"\0"
    sock.sendall(struct.pack("!II", 8 + len(body), 0x00030000 + minor) + body)
    if flag is not None:
        begin_scram(sock, flag)
    elif ready(sock):
        for line in sys.stdin:
            query = line.strip().encode() + b"\0"
            sock.sendall(b"Q" + struct.pack("!I", 4 + len(query)) + query)
            if not ready(sock):
                break


def begin_scram(sock, flag):
    kind, body = message(sock)
    tell(offered=[name.decode() for name in body[4:].split(b"\0") if name])
    first = flag.encode() + b",,n=,r=" + b"nonce" * 4
    reply = b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first
    sock.sendall(b"p" + struct.pack("!I", 4 + len(reply)) + reply)
    kind, body = message(sock)
    if kind == b"E":
        tell(error=error(body))
    else:
        tell(goes_on=struct.unpack("!I", body[:4])[0])


def ready(sock):
    while True:
        try:
            kind, body = message(sock)
        except EOFError:
            tell(end="closed")
            return False
        if kind == b"v":
            newest, count = struct.unpack("!II", body[:8])
            tell(newest=newest, unknown=[name.decode() for name in body[8:].split(b"\0") if name], count=count)
        elif kind == b"K":
            tell(process=struct.unpack("!I", body[:4])[0], key=body[4:].hex())
        elif kind == b"D":
            tell(value=body[6:].decode())
        elif kind == b"C":
            tell(done=body[:-1].decode())
        elif kind == b"E":
            tell(error=error(body))
        elif kind == b"Z":
            tell(ready=body.decode())
            return True


def cancel(host, port, process, key):
    secret = bytes.fromhex(key)
    sock = socket.create_connection((host, int(port)))
    sock.sendall(struct.pack("!III", 12 + len(secret), CANCEL, int(process)) + secret)
    try:
        tell(end="closed" if sock.recv(1) == b"" else "answered")
    except ConnectionResetError:
        tell(end="reset")


{"session": session, "cancel": cancel}[sys.argv[1]](*sys.argv[2:])
