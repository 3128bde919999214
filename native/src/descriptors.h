// SPDX-License-Identifier: Apache-2.0
// Descriptors handed from the daemon to a worker: SCM_RIGHTS over a pair of SOCK_SEQPACKET sockets, one
// message and its descriptors at a time.
#pragma once

#include "errors.h"

#include <thread>

namespace sluice {

// descriptorPair() -> [fd, fd]
Napi::Value DescriptorPair(const Napi::CallbackInfo &info);

// sendDescriptors(fd, message, fds) -> whether it was sent: false when the other side has not read for long,
// or is gone. Never waits. The caller keeps its descriptors.
Napi::Value SendDescriptors(const Napi::CallbackInfo &info);

// new DescriptorReader(fd, (message, fds) => void): takes `fd` over; the callback owns what it is given.
class DescriptorReader : public Napi::ObjectWrap<DescriptorReader> {
public:
  static Napi::Function Init(Napi::Env env);
  explicit DescriptorReader(const Napi::CallbackInfo &info);
  ~DescriptorReader() override;

private:
  void Read();
  void Stop();
  Napi::Value Close(const Napi::CallbackInfo &info);

  Fd socket_;
  std::thread reader_;
  Napi::ThreadSafeFunction notify_;
};

} // namespace sluice
