// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace sluice {

Napi::Value LockFile(const Napi::CallbackInfo &info) {
  std::string path = info[0].As<Napi::String>().Utf8Value();
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd)
    throw SystemError(info.Env(), "open " + path, errno);
  if (flock(fd.get(), LOCK_EX | LOCK_NB))
    throw SystemError(info.Env(), "flock " + path, errno);
  return Napi::Number::New(info.Env(), fd.Release());
}

Napi::Value Harden(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  auto options = info[0].As<Napi::Object>();
  bool no_new_privs = options.Get("noNewPrivs").ToBoolean();
  bool die_with_parent = options.Get("dieWithParent").ToBoolean();
  rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none))
    throw SystemError(env, "RLIMIT_CORE", errno);
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
    throw SystemError(env, "PR_SET_DUMPABLE", errno);
  if (no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    throw SystemError(env, "PR_SET_NO_NEW_PRIVS", errno);
  // Cleared by the kernel when credentials change, so it comes last.
  if (die_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
    throw SystemError(env, "PR_SET_PDEATHSIG", errno);
  return env.Undefined();
}

Napi::Value RaiseFileLimit(const Napi::CallbackInfo &info) {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit))
    throw SystemError(info.Env(), "RLIMIT_NOFILE", errno);
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit))
    throw SystemError(info.Env(), "RLIMIT_NOFILE", errno);
  return Napi::Number::New(info.Env(), static_cast<double>(limit.rlim_cur));
}

// sd_notify(3): one datagram to the socket named by the environment; '@' stands for the abstract namespace.
Napi::Value SdNotify(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  const char *path = getenv("NOTIFY_SOCKET");
  if (!path || (path[0] != '/' && path[0] != '@'))
    return Napi::Boolean::New(env, false);
  sockaddr_un address = {};
  size_t length = strlen(path);
  if (length >= sizeof(address.sun_path))
    return Napi::Boolean::New(env, false);
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path, length);
  if (address.sun_path[0] == '@')
    address.sun_path[0] = 0;
  Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd)
    throw SystemError(env, "socket", errno);
  std::string text = info[0].As<Napi::String>().Utf8Value();
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  if (sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr *>(&address), size) <
      0)
    throw SystemError(env, "sd_notify", errno);
  return Napi::Boolean::New(env, true);
}

} // namespace sluice
