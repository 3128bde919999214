// SPDX-License-Identifier: Apache-2.0
// Reads a pinned BPF ring buffer and hands its events to JavaScript in batches.
//
// A thread waits for the ring, so that an idle daemon sleeps; the events themselves are read on the
// JavaScript thread, which the waiter then lets finish before it looks again. Nothing is read after close().
#pragma once

#include "errors.h"

#include <bpf/libbpf.h>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice {

class Ring : public Napi::ObjectWrap<Ring> {
public:
  static Napi::Function Init(Napi::Env env);
  explicit Ring(const Napi::CallbackInfo &info);
  ~Ring() override;

private:
  static int OnEvent(void *context, void *data, size_t size);
  void Wait();
  void Stop();
  Napi::Value Consume(const Napi::CallbackInfo &info);
  Napi::Value Close(const Napi::CallbackInfo &info);

  Fd map_;
  Fd stop_;
  ring_buffer *ring_ = nullptr;
  size_t event_size_ = 0;
  useconds_t gather_microseconds_ = 0;
  std::vector<uint8_t> batch_;

  Napi::ThreadSafeFunction notify_;
  std::thread waiter_;
  std::mutex mutex_;
  std::condition_variable drained_;
  bool pending_ = false;
  bool stopping_ = false;
};

} // namespace sluice
