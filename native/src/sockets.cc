// SPDX-License-Identifier: Apache-2.0
#include "sockets.h"

#include "namespace.h"

#include "../../bpf/api/sluice.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

namespace sluice {
namespace {

struct Address {
  sockaddr_storage storage = {};
  socklen_t length = 0;
};

bool Parse(const std::string &ip, uint16_t port, Address *out) {
  auto *v4 = reinterpret_cast<sockaddr_in *>(&out->storage);
  auto *v6 = reinterpret_cast<sockaddr_in6 *>(&out->storage);
  if (inet_pton(AF_INET, ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out->length = sizeof(*v4);
    return true;
  }
  if (inet_pton(AF_INET6, ip.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out->length = sizeof(*v6);
    return true;
  }
  return false;
}

// Binds, and finds out where. A port of 0 is for the kernel to choose.
Failure Bind(int fd, Address *address) {
  int one = 1;
  if (address->storage.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)))
    return {"IPV6_V6ONLY", errno};
  if (bind(fd, reinterpret_cast<sockaddr *>(&address->storage), address->length))
    return {"bind", errno};
  if (getsockname(fd, reinterpret_cast<sockaddr *>(&address->storage), &address->length))
    return {"getsockname", errno};
  return {};
}

Napi::Error BindError(Napi::Env env, const Failure &failure, const std::string &ip, uint32_t port) {
  return SystemError(env, failure.what + " " + ip + " port " + std::to_string(port), failure.error);
}

Napi::Object Bound(Napi::Env env, Fd *fd, const Address &address) {
  auto result = Napi::Object::New(env);
  result.Set("fd", fd->Release());
  // sin_port and sin6_port share their place.
  result.Set("port",
             static_cast<uint32_t>(ntohs(reinterpret_cast<const sockaddr_in *>(&address.storage)->sin_port)));
  return result;
}

// `anywhere`: also while the address is not there yet, for loopback may come up after the listener.
Failure Listen(Address *address, int backlog, bool anywhere, Fd *out) {
  Fd fd(socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd)
    return {"socket", errno};
  int one = 1;
  if (setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)))
    return {"SO_REUSEPORT", errno};
  // What workers have accepted from listeners that are gone is another user's, and would keep the port.
  if (setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
    return {"SO_REUSEADDR", errno};
  // The option is kept with the socket whatever its family (ip(7)).
  if (anywhere && setsockopt(fd.get(), IPPROTO_IP, IP_FREEBIND, &one, sizeof(one)))
    return {"IP_FREEBIND", errno};
  Failure failure = Bind(fd.get(), address);
  if (failure.error)
    return failure;
  if (listen(fd.get(), backlog))
    return {"listen", errno};
  *out = std::move(fd);
  return {};
}

// Room for some thousand queries: a burst of all agents of a host.
constexpr int kDatagramBufferBytes = 4 << 20;

Failure BindUdp(Address *address, bool anywhere, Fd *out) {
  Fd fd(socket(address->storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd)
    return {"socket", errno};
  int one = 1;
  if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVMARK, &one, sizeof(one)))
    return {"SO_RCVMARK", errno};
  if (anywhere && setsockopt(fd.get(), IPPROTO_IP, IP_FREEBIND, &one, sizeof(one)))
    return {"IP_FREEBIND", errno};
  // Best effort: a smaller queue drops sooner, and agents ask again.
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kDatagramBufferBytes, sizeof(kDatagramBufferBytes));
  Failure failure = Bind(fd.get(), address);
  if (failure.error)
    return failure;
  *out = std::move(fd);
  return {};
}

} // namespace

Napi::Value ListenTcp(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string ip = info[0].As<Napi::String>().Utf8Value();
  uint32_t port = info[1].As<Napi::Number>().Uint32Value();
  int backlog = info[2].As<Napi::Number>().Int32Value();
  int netns = info[3].IsNumber() ? info[3].As<Napi::Number>().Int32Value() : -1;
  Address address;
  if (!Parse(ip, static_cast<uint16_t>(port), &address))
    throw Napi::TypeError::New(env, "not an IP address: " + ip);

  Fd fd;
  Failure failure =
      InNamespace(netns, [&]() -> Failure { return Listen(&address, backlog, netns >= 0, &fd); });
  if (failure.error)
    throw BindError(env, failure, ip, port);
  return Bound(env, &fd, address);
}

Napi::Value ListenUdp(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string ip = info[0].As<Napi::String>().Utf8Value();
  uint32_t port = info[1].As<Napi::Number>().Uint32Value();
  int netns = info[2].IsNumber() ? info[2].As<Napi::Number>().Int32Value() : -1;
  Address address;
  if (!Parse(ip, static_cast<uint16_t>(port), &address))
    throw Napi::TypeError::New(env, "not an IP address: " + ip);

  Fd fd;
  Failure failure = InNamespace(netns, [&]() -> Failure { return BindUdp(&address, netns >= 0, &fd); });
  if (failure.error)
    throw BindError(env, failure, ip, port);
  return Bound(env, &fd, address);
}

Napi::Value ReadFlow(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int fd = info[0].As<Napi::Number>().Int32Value();
  // Into a buffer of the caller's, who knows the layout: one made for each accepted connection would cost
  // more than the system call.
  auto into = info[1].As<Napi::Buffer<uint8_t>>();
  auto length = static_cast<socklen_t>(into.Length());
  bool told = !getsockopt(fd, SLUICE_SOL, SLUICE_SO_FLOW, into.Data(), &length) && length == into.Length();
  return Napi::Boolean::New(env, told);
}

Napi::Value SendNow(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  auto bytes = info[1].As<Napi::Uint8Array>();
  ssize_t sent;
  do {
    sent = send(info[0].As<Napi::Number>().Int32Value(), bytes.Data(), bytes.ElementLength(),
                MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return Napi::Number::New(env, sent < 0 ? 0 : static_cast<double>(sent));
}

Napi::Value SocketError(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(info[0].As<Napi::Number>().Int32Value(), SOL_SOCKET, SO_ERROR, &error, &length))
    throw SystemError(env, "SO_ERROR", errno);
  return error ? SystemError(env, "the connection", error).Value() : env.Null();
}

Napi::Value ResetOnClose(const Napi::CallbackInfo &info) {
  linger at_once = {1, 0};
  int fd = info[0].As<Napi::Number>().Int32Value();
  return Napi::Boolean::New(info.Env(),
                            setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0);
}

Napi::Value PeerCredentials(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  ucred peer = {};
  socklen_t length = sizeof(peer);
  if (getsockopt(info[0].As<Napi::Number>().Int32Value(), SOL_SOCKET, SO_PEERCRED, &peer, &length))
    throw SystemError(env, "SO_PEERCRED", errno);
  auto result = Napi::Object::New(env);
  result.Set("pid", Napi::Number::New(env, peer.pid));
  result.Set("uid", Napi::Number::New(env, peer.uid));
  return result;
}

// pidfd_getfd(2) and connect(AF_UNSPEC) and not SOCK_DESTROY: they need nothing that a kernel may have been
// built without, and reach every network namespace.
Napi::Value Disconnect(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  long pid = info[0].As<Napi::Number>().Int32Value();
  long fd = info[1].As<Napi::Number>().Int32Value();
  bool lossless = false;
  uint64_t wanted = info[2].As<Napi::BigInt>().Uint64Value(&lossless);
  Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  Fd taken(process ? static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), fd, 0)) : -1);
  if (!taken && (errno == ESRCH || errno == EBADF))
    return Napi::String::New(env, "gone");
  if (!taken)
    throw SystemError(env, "pidfd_getfd", errno);
  uint64_t cookie = 0;
  socklen_t length = sizeof(cookie);
  if (getsockopt(taken.get(), SOL_SOCKET, SO_COOKIE, &cookie, &length) || cookie != wanted)
    return Napi::String::New(env, "gone");
  sockaddr nowhere = {};
  nowhere.sa_family = AF_UNSPEC;
  if (connect(taken.get(), &nowhere, sizeof(nowhere)) == 0)
    return Napi::String::New(env, "disconnected");
  if (shutdown(taken.get(), SHUT_RDWR) && errno != ENOTCONN)
    throw SystemError(env, "shutdown", errno);
  return Napi::String::New(env, "shut");
}

Napi::Value DuplicateFd(const Napi::CallbackInfo &info) {
  // Not below 3: those are the standard streams, and whoever closed one of them did not mean this.
  int fd = fcntl(info[0].As<Napi::Number>().Int32Value(), F_DUPFD_CLOEXEC, 3);
  if (fd < 0)
    throw SystemError(info.Env(), "fcntl F_DUPFD_CLOEXEC", errno);
  return Napi::Number::New(info.Env(), fd);
}

Napi::Value CloseFd(const Napi::CallbackInfo &info) {
  if (close(info[0].As<Napi::Number>().Int32Value()))
    throw SystemError(info.Env(), "close", errno);
  return info.Env().Undefined();
}

} // namespace sluice
