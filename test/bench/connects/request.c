// SPDX-License-Identifier: Apache-2.0
/*
 * Asks a server on the far side of a veth pair one short question over HTTP, each over a connection of its
 * own, and says what each cost. It is the server as well, over a listener it opens in the other network
 * namespace: as in client.c there is no scheduler in between, and the packets of both sides are carried in
 * this process's own time.
 *
 *   request http COUNT FAR ADDRESS
 *   request https COUNT FAR ADDRESS NAME CERTIFICATE KEY CA
 *
 * https is TLS 1.3: a whole handshake each, certificate and NAME verified. FAR is the file of the network
 * namespace (/run/netns/…) that has ADDRESS. Prints the processor time of COUNT, nanoseconds. The first tenth
 * is not counted.
 */
#include "cost.h"
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 8443, BACKLOG = 16, PATIENCE_MS = 5000 };

static const char QUESTION[] =
    "GET /small HTTP/1.1\r\nHost: server.test\r\nUser-Agent: request\r\nAccept: */*\r\n\r\n";
static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";

static struct sockaddr_in server_at = {.sin_family = AF_INET};
static int listener;
static SSL_CTX *client_context, *server_context;
static const char *server_name;

/* A listener belongs to the namespace it was made in, whoever accepts from it. */
static void listen_in(const char *namespace) {
  int near = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), far = open(namespace, O_RDONLY | O_CLOEXEC);
  if (near < 0 || far < 0 || setns(far, CLONE_NEWNET))
    err(1, "%s", namespace);
  int yes = 1;
  listener = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ||
      bind(listener, (struct sockaddr *)&server_at, sizeof(server_at)) || listen(listener, BACKLOG))
    err(1, "a listener on the far side");
  if (setns(near, CLONE_NEWNET))
    err(1, "back to the near side");
  close(near);
  close(far);
}

struct ends {
  int client, server;
};

/* A message of a handshake is several small packets: none is to wait for the answer to the one before. */
static void send_at_once(int fd) {
  int yes = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)))
    err(1, "TCP_NODELAY");
}

static struct ends connected(void) {
  struct ends ends;
  ends.client = socket(AF_INET, SOCK_STREAM, 0);
  if (ends.client < 0 || connect(ends.client, (struct sockaddr *)&server_at, sizeof(server_at)))
    err(1, "connect");
  ends.server = accept(listener, NULL, NULL);
  if (ends.server < 0)
    err(1, "accept");
  send_at_once(ends.client);
  send_at_once(ends.server);
  return ends;
}

static void carry(int from, int to, const char *text, size_t length) {
  char buffer[512];
  if (send(from, text, length, 0) != (ssize_t)length ||
      recv(to, buffer, length, MSG_WAITALL) != (ssize_t)length)
    err(1, "a message");
}

static void http(void) {
  struct ends ends = connected();
  carry(ends.client, ends.server, QUESTION, sizeof(QUESTION) - 1);
  carry(ends.server, ends.client, ANSWER, sizeof(ANSWER) - 1);
  close(ends.client);
  close(ends.server);
}

/* What an operation of OpenSSL came to: 1 done, 0 it waits for the other end. */
static int outcome(SSL *ssl, int result, const char *what) {
  if (result > 0)
    return 1;
  if (SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ)
    errx(1, "%s failed", what);
  return 0;
}

/* Packets are mostly there when send() returns; where the kernel left them to a thread of its own, this
 * waits. */
static void await(int fd, const char *what) {
  struct pollfd one = {.fd = fd, .events = POLLIN};
  if (poll(&one, 1, PATIENCE_MS) != 1)
    errx(1, "nothing came: %s", what);
}

static void shake(SSL *client, SSL *server) {
  for (int asked = 0, answered = 0; !asked || !answered;) {
    if (!asked)
      asked = outcome(client, SSL_connect(client), "SSL_connect");
    if (!answered) {
      await(SSL_get_fd(server), "a handshake");
      answered = outcome(server, SSL_accept(server), "SSL_accept");
    }
    if (!asked)
      await(SSL_get_fd(client), "a handshake");
  }
}

static void carry_tls(SSL *from, SSL *to, const char *text, size_t length) {
  char buffer[512];
  if (SSL_write(from, text, (int)length) != (int)length)
    errx(1, "SSL_write failed");
  for (int read = 0; read < (int)length;) {
    int more = SSL_read(to, buffer, sizeof(buffer));
    if (outcome(to, more, "SSL_read"))
      read += more;
    else
      await(SSL_get_fd(to), "a message");
  }
}

static SSL *session(SSL_CTX *context, int fd) {
  SSL *ssl = SSL_new(context);
  if (!ssl || !SSL_set_fd(ssl, fd) || fcntl(fd, F_SETFL, O_NONBLOCK))
    errx(1, "a session");
  return ssl;
}

static void https(void) {
  struct ends ends = connected();
  SSL *client = session(client_context, ends.client), *server = session(server_context, ends.server);
  if (!SSL_set1_host(client, server_name) || !SSL_set_tlsext_host_name(client, server_name))
    errx(1, "the server's name");
  shake(client, server);
  carry_tls(client, server, QUESTION, sizeof(QUESTION) - 1);
  carry_tls(server, client, ANSWER, sizeof(ANSWER) - 1);
  SSL_shutdown(client);
  SSL_shutdown(server);
  SSL_free(client);
  SSL_free(server);
  close(ends.client);
  close(ends.server);
}

static SSL_CTX *context(const SSL_METHOD *method) {
  SSL_CTX *made = SSL_CTX_new(method);
  if (!made || !SSL_CTX_set_min_proto_version(made, TLS1_3_VERSION))
    errx(1, "a context");
  return made;
}

static void make_contexts(const char *certificate, const char *key, const char *ca) {
  server_context = context(TLS_server_method());
  client_context = context(TLS_client_method());
  SSL_CTX_set_verify(client_context, SSL_VERIFY_PEER, NULL);
  if (SSL_CTX_use_certificate_chain_file(server_context, certificate) != 1 ||
      SSL_CTX_use_PrivateKey_file(server_context, key, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_load_verify_locations(client_context, ca, NULL) != 1)
    errx(1, "certificate, key or CA");
}

int main(int argc, char **argv) {
  long count = argc > 4 ? atol(argv[2]) : 0;
  int tls = argc > 8 && !strcmp(argv[1], "https");
  if (count < 1 || (!tls && strcmp(argv[1], "http")))
    errx(2,
         "usage: request http COUNT FAR ADDRESS | request https COUNT FAR ADDRESS NAME CERTIFICATE KEY CA");
  server_at.sin_port = htons(PORT);
  if (inet_pton(AF_INET, argv[4], &server_at.sin_addr) != 1)
    errx(2, "%s is no IPv4 address", argv[4]);
  listen_in(argv[3]);
  if (tls) {
    server_name = argv[5];
    make_contexts(argv[6], argv[7], argv[8]);
  }
  print_cost(count, tls ? https : http);
  return 0;
}
