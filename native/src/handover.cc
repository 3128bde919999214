// SPDX-License-Identifier: Apache-2.0
#include "handover.h"
#include "notify.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <vector>

namespace sluice {
namespace {

// glibc has the name since 2.36, the kernel since 5.4.
constexpr auto kPidfd = static_cast<idtype_t>(3);

std::vector<std::string> Strings(const Napi::Value &value) {
  auto array = value.As<Napi::Array>();
  std::vector<std::string> strings;
  for (uint32_t index = 0; index < array.Length(); index++)
    strings.push_back(array.Get(index).As<Napi::String>().Utf8Value());
  return strings;
}

std::vector<char *> Pointers(std::vector<std::string> &strings) {
  std::vector<char *> pointers;
  for (auto &string : strings)
    pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

} // namespace

Napi::Value OpenProcess(const Napi::CallbackInfo &info) {
  long fd = syscall(SYS_pidfd_open, info[0].As<Napi::Number>().Int32Value(), 0);
  if (fd < 0)
    throw SystemError(info.Env(), "pidfd_open", errno);
  return Napi::Number::New(info.Env(), static_cast<double>(fd));
}

Napi::Value KillProcess(const Napi::CallbackInfo &info) {
  int fd = info[0].As<Napi::Number>().Int32Value();
  if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0) && errno != ESRCH)
    throw SystemError(info.Env(), "pidfd_send_signal", errno);
  return info.Env().Undefined();
}

Napi::Value ReapProcess(const Napi::CallbackInfo &info) {
  int fd = info[0].As<Napi::Number>().Int32Value();
  siginfo_t state = {};
  // Who is not our child is reaped by its own parent: for us it has ended when no signal reaches it any more.
  if (waitid(kPidfd, static_cast<id_t>(fd), &state, WEXITED | WNOHANG) && errno == ECHILD)
    return Napi::Boolean::New(info.Env(), syscall(SYS_pidfd_send_signal, fd, 0, nullptr, 0) != 0);
  return Napi::Boolean::New(info.Env(), state.si_pid != 0);
}

Napi::Value OutliveParent(const Napi::CallbackInfo &info) {
  if (prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0))
    throw SystemError(info.Env(), "PR_SET_PDEATHSIG", errno);
  return info.Env().Undefined();
}

Napi::Value MemoryFile(const Napi::CallbackInfo &info) {
  std::string name = info[0].As<Napi::String>().Utf8Value();
  int fd = memfd_create(name.c_str(), MFD_CLOEXEC);
  if (fd < 0)
    throw SystemError(info.Env(), "memfd_create", errno);
  return Napi::Number::New(info.Env(), fd);
}

Napi::Value Inherit(const Napi::CallbackInfo &info) {
  int fd = info[0].As<Napi::Number>().Int32Value();
  if (fcntl(fd, F_SETFD, info[1].ToBoolean() ? 0 : FD_CLOEXEC))
    throw SystemError(info.Env(), "F_SETFD", errno);
  return info.Env().Undefined();
}

Napi::Value Execute(const Napi::CallbackInfo &info) {
  std::string file = info[0].As<Napi::String>().Utf8Value();
  auto arguments = Strings(info[1]);
  auto environment = Strings(info[2]);
  execve(file.c_str(), Pointers(arguments).data(), Pointers(environment).data());
  throw SystemError(info.Env(), "execve " + file, errno);
}

Napi::Value StoreDescriptor(const Napi::CallbackInfo &info) {
  std::string text = info[0].As<Napi::String>().Utf8Value();
  int fd = info[1].As<Napi::Number>().Int32Value();
  return Napi::Boolean::New(info.Env(), Notify(info.Env(), text, fd));
}

} // namespace sluice
