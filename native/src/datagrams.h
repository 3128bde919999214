// SPDX-License-Identifier: Apache-2.0
// The forwarder's datagram sockets, a few in each network namespace that has agents: each datagram with the
// flow of who sent it, which the kernel tells for the ticket it came with. What has no ticket, or one that
// was used, is left out.
//
// One thread waits for all of them; the datagrams themselves are read on the JavaScript thread, which the
// waiter then lets finish before it looks again.
#pragma once

#include "errors.h"

#include <condition_variable>
#include <map>
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
  void ReceiveFrom(Napi::Array result, uint32_t socket);
  Napi::Value Add(const Napi::CallbackInfo &info);
  Napi::Value Remove(const Napi::CallbackInfo &info);
  Napi::Value Receive(const Napi::CallbackInfo &info);
  Napi::Value Send(const Napi::CallbackInfo &info);
  Napi::Value Close(const Napi::CallbackInfo &info);

  // By a number that is never used again: an answer may come when its socket is gone.
  std::map<uint32_t, Fd> sockets_;
  uint32_t next_ = 1;
  Fd ready_; // epoll
  Fd stop_;
  std::vector<uint8_t> buffer_;
  std::vector<uint8_t> flow_;

  Napi::ThreadSafeFunction notify_;
  std::thread waiter_;
  std::mutex mutex_;
  std::condition_variable drained_;
  bool pending_ = false;
  bool stopping_ = false;
};

} // namespace sluice
