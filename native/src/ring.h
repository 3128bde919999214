// SPDX-License-Identifier: Apache-2.0
// Reads a pinned BPF ring buffer and hands its events to JavaScript in batches.
//
// Reading and letting go are apart: consume() gives what is new, commit() moves the position that the kernel
// keeps in the ring's own memory. What was not let go of is there for the next reader, however this one
// ended. So the ring is mapped here and not read through libbpf, which moves the position with each event.
//
// A thread waits for the ring, so that an idle daemon sleeps; the events themselves are read on the
// JavaScript thread, which the waiter then lets finish before it looks again. Nothing is read after close().
#pragma once

#include "errors.h"

#include <condition_variable>
#include <cstdint>
#include <deque>
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
  void Map(Napi::Env env);
  void Unmap();
  void Read();
  bool WaitForMore();
  void Wait();
  void Stop();
  Napi::Value Consume(const Napi::CallbackInfo &info);
  Napi::Value Commit(const Napi::CallbackInfo &info);
  Napi::Value Size(const Napi::CallbackInfo &info);
  Napi::Value Close(const Napi::CallbackInfo &info);

  Fd map_;
  Fd kick_;
  uint64_t size_ = 0;
  size_t event_size_ = 0;
  unsigned gather_microseconds_ = 0;
  uint64_t *committed_ = nullptr; // the kernel's consumer position, alone in its page
  uint64_t *produced_ = nullptr;
  uint8_t *data_ = nullptr;
  size_t produced_length_ = 0;
  uint64_t position_ = 0;     // of what is read next; the waiter reads it too
  std::deque<uint64_t> ends_; // of events that were read and not let go of
  std::vector<uint8_t> batch_;

  Napi::ThreadSafeFunction notify_;
  std::thread waiter_;
  std::mutex mutex_;
  std::condition_variable drained_;
  bool pending_ = false;
  bool stopping_ = false;
};

} // namespace sluice
