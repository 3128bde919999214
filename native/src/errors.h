// SPDX-License-Identifier: Apache-2.0
// errno becomes a JavaScript Error with `code` (ENOENT, …) and `syscall`, as Node's own errors have.
#pragma once

#include <napi.h>
#include <string>
#include <unistd.h>

namespace sluice {

// `error` is a positive errno.
Napi::Error SystemError(Napi::Env env, const std::string &what, int error);

// A descriptor with one owner.
class Fd {
public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {
  }
  Fd(const Fd &) = delete;
  Fd &operator=(const Fd &) = delete;
  Fd(Fd &&other) noexcept : fd_(other.Release()) {
  }
  Fd &operator=(Fd &&other) noexcept {
    Reset(other.Release());
    return *this;
  }
  ~Fd() {
    Reset(-1);
  }
  int get() const {
    return fd_;
  }
  explicit operator bool() const {
    return fd_ >= 0;
  }
  int Release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset(int fd) {
    if (fd_ >= 0)
      close(fd_);
    fd_ = fd;
  }

private:
  int fd_ = -1;
};

} // namespace sluice
