// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>

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

} // namespace sluice
