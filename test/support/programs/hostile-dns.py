"""A name server that lies. What it does is the first label of the name it is asked for; run as: hostile-dns.py IPV6."""
import socket, struct, sys, threading

HOST = sys.argv[1]


def question_end(query):
    at = 12
    while query[at]:
        at += query[at] + 1
    return at + 5


def reply(query, records=b"", count=None, flags=0x8180, ident=None, question=None):
    end = question_end(query)
    head = struct.pack(">HHHHHH", ident if ident is not None else struct.unpack(">H", query[:2])[0], flags, 1,
                       (1 if records else 0) if count is None else count, 0, 0)
    return head + (query[12:end] if question is None else question) + records


def record(name, kind, data, ttl=60):
    return name + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


SELF = b"\xc0\x0c"
GOOD = socket.inet_aton("10.198.1.2")
EVIL = socket.inet_aton("10.198.1.66")


def answer(query, label, kind):
    """Datagrams to send back."""
    address = record(SELF, 1, GOOD)
    if label == "honest" or label.startswith("split"):
        if kind != 1:
            return [reply(query)]
        return [reply(query, record(SELF, 1, socket.inet_aton("10.198.1.3") if label == "split" else GOOD))]
    if label == "forged":  # guesses of others before the truth: wrong id, wrong name, wrong case, no question
        ident = struct.unpack(">H", query[:2])[0]
        end = question_end(query)
        other = wire("other.hostile.test") + query[end - 4:end]
        evil = record(SELF, 1, EVIL)
        return [reply(query, evil, ident=ident ^ 1), reply(query, evil, question=other),
                reply(query, evil, question=query[12:end].swapcase()), struct.pack(">HHHHHH", ident, 0x8180, 0, 1, 0, 0) + record(wire("forged.hostile.test"), 1, EVIL),
                b"\0", reply(query, address)]
    if label == "flood":
        return [reply(query, record(SELF, 1, EVIL), ident=n) for n in range(200)]
    if label == "loop":
        return [reply(query, b"\xc0" + bytes([question_end(query)]) + struct.pack(">HHIH", 1, 1, 60, 4) + EVIL)]
    if label == "forward":
        return [reply(query, b"\xc0\xff" + struct.pack(">HHIH", 1, 1, 60, 4) + EVIL)]
    if label == "cnameloop":
        a, b = query[12:question_end(query) - 4], wire("b.hostile.test")
        return [reply(query, record(a, 5, b) + record(b, 5, a), count=2)]
    if label == "unasked":  # an address for a name of somebody else's
        return [reply(query, address + record(wire("bank.test"), 1, EVIL), count=2)]
    if label == "aliasunasked":
        return [reply(query, record(SELF, 5, wire("c.hostile.test")) + record(wire("bank.test"), 1, EVIL), count=2)]
    if label == "short":
        return [reply(query, record(SELF, 1, b"\x0a\x00"))]
    if label == "count":
        return [reply(query, address, count=65535)]
    if label == "trailing":
        return [reply(query, address) + b"trailing"]
    if label == "cut":
        return [reply(query, address)[:-3]]
    if label == "chaos":
        return [reply(query, SELF + struct.pack(">HHIH", 1, 3, 60, 4) + EVIL)]
    if label == "silent":
        return []
    return [reply(query, flags=0x8183)]


def parse(query):
    end = question_end(query)
    return query[13:13 + query[12]].decode().lower(), struct.unpack(">H", query[end - 4:end - 2])[0]


def over_tcp(server):
    while True:
        client, _ = server.accept()
        with client:
            client.settimeout(2)
            try:
                size = struct.unpack(">H", client.recv(2))[0]
                query = client.recv(size)
                label, kind = parse(query)
                for message in answer(query, label, kind)[:1]:
                    client.sendall(struct.pack(">H", len(message)) + message)
            except (OSError, struct.error):
                pass


tcp = socket.socket(socket.AF_INET6)
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.setsockopt(41, socket.IPV6_V6ONLY, 1)
tcp.bind((HOST, 53))
tcp.listen(16)
threading.Thread(target=over_tcp, args=(tcp,), daemon=True).start()
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.bind((HOST, 53))
print("ready", flush=True)
while True:
    query, sender = udp.recvfrom(4096)
    label, kind = parse(query)
    for message in answer(query, label, kind):
        udp.sendto(message, sender)
