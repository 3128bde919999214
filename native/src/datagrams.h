// SPDX-License-Identifier: Apache-2.0
// The forwarder's datagram socket: each datagram with the flow of who sent it, which the kernel tells for the
// ticket it came with. What has no ticket, or one that was used, is left out.
//
// A thread waits for the socket; the datagrams themselves are read on the JavaScript thread, which the waiter
// then lets finish before it looks again.
#pragma once

#include "errors.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice {

class Datagrams : public Napi::ObjectWrap<Datagrams> {
public:
  static Napi::Function Init(Napi::Env env);
  explicit Datagrams(const Napi::CallbackInfo &info);
  ~Datagrams() override;

private:
  void Wait();
  void Stop();
  Napi::Value Receive(const Napi::CallbackInfo &info);
  Napi::Value Send(const Napi::CallbackInfo &info);
  Napi::Value Close(const Napi::CallbackInfo &info);

  Fd socket_;
  Fd stop_;
  std::vector<uint8_t> buffer_;

  Napi::ThreadSafeFunction notify_;
  std::thread waiter_;
  std::mutex mutex_;
  std::condition_variable drained_;
  bool pending_ = false;
  bool stopping_ = false;
};

} // namespace sluice
