// SPDX-License-Identifier: Apache-2.0
#include "namespace.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>
#include <vector>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 // asm-generic/socket.h, Linux 5.14
#endif

namespace sluice {
namespace {

Failure ReadCookie(uint64_t *cookie) {
  Fd probe(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  socklen_t length = sizeof(*cookie);
  if (!probe)
    return {"socket", errno};
  if (getsockopt(probe.get(), SOL_SOCKET, SO_NETNS_COOKIE, cookie, &length))
    return {"SO_NETNS_COOKIE", errno};
  return {};
}

Failure InodeOf(int fd, uint64_t *inode) {
  struct stat status = {};
  if (fstat(fd, &status))
    return {"fstat", errno};
  *inode = status.st_ino;
  return {};
}

// -1 when `netns` belongs to the initial user namespace, which is the one a daemon with all rights is in.
Failure OwnerOf(int netns, int64_t *owner) {
  Fd own(open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC));
  Fd owning(ioctl(netns, NS_GET_USERNS));
  if (!own || !owning)
    return {"NS_GET_USERNS", errno};
  uint64_t own_inode = 0, owning_inode = 0;
  for (Failure failure : {InodeOf(own.get(), &own_inode), InodeOf(owning.get(), &owning_inode)})
    if (failure.error)
      return failure;
  *owner = -1;
  if (own_inode == owning_inode)
    return {};
  uid_t uid = 0;
  if (ioctl(owning.get(), NS_GET_OWNER_UID, &uid))
    return {"NS_GET_OWNER_UID", errno};
  *owner = uid;
  return {};
}

void ThrowIf(Napi::Env env, const Failure &failure) {
  if (failure.error)
    throw SystemError(env, failure.what, failure.error);
}

} // namespace

Failure InNamespace(int fd, const std::function<Failure()> &work) {
  if (fd < 0)
    return work();
  Failure failure;
  std::thread([&] {
    if (setns(fd, CLONE_NEWNET))
      failure = {"setns", errno};
    else
      failure = work();
  }).join();
  return failure;
}

Napi::Value OpenNamespace(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string path = "/proc/" + std::to_string(info[0].As<Napi::Number>().Uint32Value()) + "/ns/net";
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    throw SystemError(env, "open " + path, errno);
  uint64_t cookie = 0, inode = 0;
  int64_t owner = -1;
  ThrowIf(env, InodeOf(fd.get(), &inode));
  ThrowIf(env, OwnerOf(fd.get(), &owner));
  ThrowIf(env, InNamespace(fd.get(), [&] { return ReadCookie(&cookie); }));
  auto result = Napi::Object::New(env);
  result.Set("fd", fd.Release());
  result.Set("cookie", Napi::BigInt::New(env, cookie));
  result.Set("inode", static_cast<double>(inode));
  result.Set("ownerUid", owner < 0 ? env.Null() : Napi::Number::New(env, static_cast<double>(owner)));
  return result;
}

Napi::Value HomeNamespace(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Fd own(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!own)
    throw SystemError(env, "open /proc/self/ns/net", errno);
  uint64_t cookie = 0, inode = 0;
  ThrowIf(env, InodeOf(own.get(), &inode));
  ThrowIf(env, ReadCookie(&cookie));
  auto result = Napi::Object::New(env);
  result.Set("cookie", Napi::BigInt::New(env, cookie));
  result.Set("inode", static_cast<double>(inode));
  return result;
}

Napi::Value SocketsIn(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int netns = info[0].As<Napi::Number>().Int32Value();
  int family = info[1].As<Napi::Number>().Int32Value() == 6 ? AF_INET6 : AF_INET;
  uint32_t count = info[2].As<Napi::Number>().Uint32Value();
  std::vector<Fd> sockets;
  ThrowIf(env, InNamespace(netns, [&]() -> Failure {
            for (uint32_t made = 0; made < count; made++) {
              Fd fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
              if (!fd)
                return {"socket", errno};
              sockets.push_back(std::move(fd));
            }
            return {};
          }));
  auto result = Napi::Array::New(env, sockets.size());
  for (uint32_t index = 0; index < sockets.size(); index++)
    result.Set(index, sockets[index].Release());
  return result;
}

} // namespace sluice
