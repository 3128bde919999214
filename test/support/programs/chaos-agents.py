"""Agents for the chaos test: COUNT processes that connect in a loop, until the file STOP is there.

    chaos-agents.py KIND COUNT STOP MARKER HOST SEED

Plain sockets, as any program has them. Every payload has MARKER in it. Each process says `up` when it begins. When it has stopped, it prints one
line of JSON: how often it called connect(), how often that was EPERM, and how many of its questions were answered.
"""

import errno
import json
import os
import random
import socket
import struct
import sys
import time

kind, count, stop, marker, host, seed = sys.argv[1:7]
STEP_S = 5  # a step that takes longer is given up
RESET = struct.pack("ii", 1, 0)
PORTS = {"http": 80, "postgres": 5432, "echo": 7005, "source": 7006}


class Agent:
    def __init__(self, number):
        self.random = random.Random(f"{seed}-{kind}-{number}")
        self.said = {"pid": os.getpid(), "kind": kind, "connects": 0, "refused": 0, "answered": 0, "errors": {}}
        self.turn = 0

    def connect(self):
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        s.settimeout(STEP_S)
        self.said["connects"] += 1
        try:
            s.connect((host, PORTS[kind]))
        except OSError as error:
            self.said["refused"] += error.errno == errno.EPERM
            s.close()
            raise
        return s

    def text(self):
        self.turn += 1
        return f"{marker}-{os.getpid()}-{self.turn}"

    def read(self, s, enough):
        got = b""
        while not enough(got):
            chunk = s.recv(65536)
            if not chunk:
                break
            got += chunk
        return got

    def http(self, s):
        text = self.text()
        request = f"GET /secret/{text} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n".encode()
        # In two pieces at times, so that something ends in the middle of it.
        if self.random.random() < 0.3:
            s.sendall(request[:30])
            time.sleep(self.random.random() / 2)
            request = request[30:]
        s.sendall(request)
        return text.encode() in self.read(s, lambda got: False)

    def postgres(self, s):
        text = self.text()
        body = struct.pack("!i", 196608) + f"user\0app\0database\0shop\0application_name\0{text}\0\0".encode()
        s.sendall(struct.pack("!i", len(body) + 4) + body)
        asked = self.read(s, lambda got: len(got) >= 9)[:1] == b"R"
        if asked and self.random.random() < 0.5:
            s.sendall(b"X\0\0\0\4")
        return asked

    def echo(self, s):
        text = self.text().encode()
        for _ in range(self.random.randrange(1, 4)):
            s.sendall(text)
            if self.read(s, lambda got: len(got) >= len(text)) != text:
                return False
            time.sleep(self.random.random() / 5)
        return True

    def source(self, s):
        size = self.random.choice([1, 5, 30]) * 1000
        s.sendall(f"{size}\n".encode())
        return len(self.read(s, lambda got: len(got) >= size)) >= size

    def once(self):
        s = self.connect()
        try:
            fate = self.random.random()
            if fate < 0.05:  # gone before anybody has said a word, by RST or by FIN
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            elif fate < 0.1:
                pass
            else:
                self.said["answered"] += getattr(self, kind)(s)
        finally:
            s.close()

    def ask(self):
        """A question by datagram: no connection, and no marker, for names are not secret."""
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(1)
        try:
            name = b"".join(bytes([len(part)]) + part for part in [b"shop", b"test", b""])
            s.sendto(struct.pack("!6H", self.random.randrange(65536), 0x100, 1, 0, 0, 0) + name + b"\0\1\0\1", (host, 53))
            self.said["answered"] += len(s.recv(1500)) > 12
        finally:
            s.close()

    def live(self):
        os.write(1, b"up\n")
        time.sleep(self.random.random())
        while not os.path.exists(stop):
            try:
                self.ask() if kind == "dns" else self.once()
            except OSError as error:
                name = errno.errorcode.get(error.errno or 0, type(error).__name__)
                self.said["errors"][name] = self.said["errors"].get(name, 0) + 1
            time.sleep(0.2 + 0.6 * self.random.random())
        os.write(1, (json.dumps(self.said) + "\n").encode())


for number in range(int(count)):
    if os.fork() == 0:
        Agent(number).live()
        os._exit(0)
for _ in range(int(count)):
    os.wait()
