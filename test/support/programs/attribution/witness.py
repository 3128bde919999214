"""The far server that judges: of every connection it takes by TLS it writes down who the peer was and how many bytes
came, and answers each with the count. Flows of an attempt send a number of bytes of their own, so that an entry here
and a flow record belong together by what crossed the wire.

usage: witness.py CERTIFICATE KEY PORT
"""
import json
import socket
import ssl
import sys
import threading

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
saying = threading.Lock()


def serve(plain, peer):
    size = 0
    how = "whole"
    try:
        connection = context.wrap_socket(plain, server_side=True)
        while chunk := connection.recv(65536):
            size += len(chunk)
        connection.sendall(b"%d\n" % size)
        connection.close()
    except OSError as error:
        how = type(error).__name__
    with saying:
        print(json.dumps({"size": size, "how": how, "ip": peer[0].replace("::ffff:", ""), "port": peer[1]}), flush=True)


server = socket.create_server(("::", int(sys.argv[3])), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256)
print('{"ready":true}', flush=True)
while True:
    connection, peer = server.accept()
    threading.Thread(target=serve, args=(connection, peer)).start()
