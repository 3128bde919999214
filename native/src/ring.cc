// SPDX-License-Identifier: Apache-2.0
#include "ring.h"

#include <bpf/bpf.h>
#include <cerrno>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace sluice {

Napi::Function Ring::Init(Napi::Env env) {
  return DefineClass(env, "Ring",
                     {
                         InstanceMethod<&Ring::Consume>("consume"),
                         InstanceMethod<&Ring::Close>("close"),
                     });
}

// new Ring(pinPath, eventSize, gatherMicroseconds, onReady): onReady() is called when there is something for
// consume(), and has waited that long for more
Ring::Ring(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Ring>(info) {
  std::string path = info[0].As<Napi::String>().Utf8Value();
  event_size_ = info[1].As<Napi::Number>().Uint32Value();
  gather_microseconds_ = info[2].As<Napi::Number>().Uint32Value();
  map_.Reset(bpf_obj_get(path.c_str()));
  if (!map_)
    throw SystemError(info.Env(), "bpf_obj_get " + path, errno);
  ring_ = ring_buffer__new(map_.get(), OnEvent, this, nullptr);
  if (!ring_)
    throw SystemError(info.Env(), "ring_buffer__new " + path, errno);
  stop_.Reset(eventfd(0, EFD_CLOEXEC));
  notify_ = Napi::ThreadSafeFunction::New(info.Env(), info[3].As<Napi::Function>(), "sluice-ring", 1, 1);
  waiter_ = std::thread([this] { Wait(); });
}

Ring::~Ring() {
  Stop();
}

int Ring::OnEvent(void *context, void *data, size_t size) {
  auto *self = static_cast<Ring *>(context);
  // An event of another size comes from programs of another ABI: not ours to read.
  if (size == self->event_size_) {
    auto *bytes = static_cast<uint8_t *>(data);
    self->batch_.insert(self->batch_.end(), bytes, bytes + size);
  }
  return 0;
}

void Ring::Wait() {
  pollfd fds[2] = {{ring_buffer__epoll_fd(ring_), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
  for (;;) {
    if (poll(fds, 2, -1) < 0 && errno != EINTR)
      break;
    if (fds[1].revents)
      break;
    if (!(fds[0].revents & POLLIN))
      continue;
    if (gather_microseconds_ > 0)
      usleep(gather_microseconds_);
    std::unique_lock<std::mutex> lock(mutex_);
    pending_ = true;
    if (stopping_ || notify_.NonBlockingCall() != napi_ok)
      break;
    drained_.wait(lock, [this] { return !pending_ || stopping_; });
  }
  notify_.Release();
}

// consume() -> Buffer of whole events, possibly empty
Napi::Value Ring::Consume(const Napi::CallbackInfo &info) {
  batch_.clear();
  if (ring_)
    ring_buffer__consume(ring_);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    pending_ = false;
  }
  drained_.notify_one();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), batch_.data(), batch_.size());
}

void Ring::Stop() {
  if (!ring_)
    return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  drained_.notify_one();
  uint64_t one = 1;
  if (write(stop_.get(), &one, sizeof(one)) < 0) {
    // An eventfd takes a first 1 always.
  }
  waiter_.join();
  ring_buffer__free(ring_);
  ring_ = nullptr;
}

Napi::Value Ring::Close(const Napi::CallbackInfo &info) {
  Stop();
  return info.Env().Undefined();
}

} // namespace sluice
