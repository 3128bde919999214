// SPDX-License-Identifier: Apache-2.0
#include "ring.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <cerrno>
#include <ctime>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

namespace sluice {

namespace {

// linux/bpf.h: before each event its length and two flags, and the offset of its page.
constexpr uint64_t kHeaderSize = BPF_RINGBUF_HDR_SZ;
constexpr uint32_t kFlags = BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT;

// Between two looks at a ring of which something is held.
constexpr long kLeastPauseMicroseconds = 1000;

uint64_t Acquire(const uint64_t *position) {
  return __atomic_load_n(position, __ATOMIC_ACQUIRE);
}

uint64_t Rounded(uint32_t length) {
  return (length + kHeaderSize + 7) / 8 * 8;
}

} // namespace

Napi::Function Ring::Init(Napi::Env env) {
  return DefineClass(env, "Ring",
                     {
                         InstanceMethod<&Ring::Consume>("consume"),
                         InstanceMethod<&Ring::Commit>("commit"),
                         InstanceMethod<&Ring::Close>("close"),
                         InstanceAccessor<&Ring::Size>("size"),
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
  Map(info.Env());
  position_ = Acquire(committed_);
  kick_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  notify_ = Napi::ThreadSafeFunction::New(info.Env(), info[3].As<Napi::Function>(), "sluice-ring", 1, 1);
  waiter_ = std::thread([this] { Wait(); });
}

Ring::~Ring() {
  Stop();
}

// A page to be written, with the position of the reader; then, to be read only, a page with that of the
// kernel and the events, which are mapped twice so that none is in two pieces.
void Ring::Map(Napi::Env env) {
  bpf_map_info map = {};
  uint32_t length = sizeof(map);
  if (bpf_obj_get_info_by_fd(map_.get(), &map, &length))
    throw SystemError(env, "bpf_obj_get_info_by_fd", errno);
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_ = map.max_entries;
  void *consumer = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_.get(), 0);
  if (consumer == MAP_FAILED)
    throw SystemError(env, "mmap of a ring's position", errno);
  committed_ = static_cast<uint64_t *>(consumer);
  produced_length_ = page + 2 * size_;
  void *producer =
      mmap(nullptr, produced_length_, PROT_READ, MAP_SHARED, map_.get(), static_cast<off_t>(page));
  if (producer == MAP_FAILED) {
    int error = errno;
    Unmap();
    throw SystemError(env, "mmap of a ring", error);
  }
  produced_ = static_cast<uint64_t *>(producer);
  data_ = static_cast<uint8_t *>(producer) + page;
}

void Ring::Unmap() {
  if (produced_)
    munmap(produced_, produced_length_);
  if (committed_)
    munmap(committed_, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  produced_ = nullptr;
  committed_ = nullptr;
}

// Up to an event that is still being written, or to the end.
void Ring::Read() {
  uint64_t position = __atomic_load_n(&position_, __ATOMIC_RELAXED);
  while (position < Acquire(produced_)) {
    uint8_t *at = data_ + (position & (size_ - 1));
    uint32_t header = __atomic_load_n(reinterpret_cast<uint32_t *>(at), __ATOMIC_ACQUIRE);
    if (header & BPF_RINGBUF_BUSY_BIT)
      break;
    uint32_t length = header & ~kFlags;
    position += Rounded(length);
    // An event of another size comes from programs of another ABI: not ours to read.
    if (length == event_size_ && !(header & BPF_RINGBUF_DISCARD_BIT)) {
      batch_.insert(batch_.end(), at + kHeaderSize, at + kHeaderSize + length);
      ends_.push_back(position);
    }
  }
  __atomic_store_n(&position_, position, __ATOMIC_RELEASE);
}

// Whether there may be something; false when it is time to stop.
//
// The kernel wakes a reader that has let go of everything before the event, and no other. So while something
// is held, the ring is looked at instead.
bool Ring::WaitForMore() {
  pollfd fds[2] = {{kick_.get(), POLLIN, 0}, {map_.get(), POLLIN, 0}};
  bool holding = Acquire(committed_) != Acquire(&position_);
  timespec pause = {0, std::max<long>(gather_microseconds_, kLeastPauseMicroseconds) * 1000};
  if (ppoll(fds, holding ? 1 : 2, holding ? &pause : nullptr, nullptr) < 0 && errno != EINTR)
    return false;
  uint64_t kicks;
  if (fds[0].revents && read(kick_.get(), &kicks, sizeof(kicks)) < 0) {
    // Somebody else's: it is not blocking.
  }
  if (!holding && fds[1].revents & POLLIN && gather_microseconds_ > 0)
    usleep(gather_microseconds_);
  return true;
}

void Ring::Wait() {
  for (;;) {
    bool going = WaitForMore();
    std::unique_lock<std::mutex> lock(mutex_);
    if (!going || stopping_)
      break;
    if (Acquire(produced_) == Acquire(&position_))
      continue;
    pending_ = true;
    if (notify_.NonBlockingCall() != napi_ok)
      break;
    drained_.wait(lock, [this] { return !pending_ || stopping_; });
  }
  notify_.Release();
}

// consume() -> Buffer of whole events that were not given yet, possibly empty
Napi::Value Ring::Consume(const Napi::CallbackInfo &info) {
  batch_.clear();
  if (committed_)
    Read();
  bool called;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    called = pending_;
    pending_ = false;
  }
  drained_.notify_one();
  // Read unasked: the waiter sleeps until the kernel wakes it, which it will not do any more.
  uint64_t one = 1;
  if (!called && !batch_.empty() && write(kick_.get(), &one, sizeof(one)) < 0) {
    // Full of kicks already.
  }
  return Napi::Buffer<uint8_t>::Copy(info.Env(), batch_.data(), batch_.size());
}

// commit(count): lets go of the first `count` events that were given and are held
Napi::Value Ring::Commit(const Napi::CallbackInfo &info) {
  size_t count = info[0].As<Napi::Number>().Uint32Value();
  if (!committed_)
    return info.Env().Undefined();
  if (count >= ends_.size()) {
    ends_.clear();
    __atomic_store_n(committed_, position_, __ATOMIC_RELEASE);
  } else if (count > 0) {
    uint64_t end = ends_[count - 1];
    ends_.erase(ends_.begin(), ends_.begin() + static_cast<long>(count));
    __atomic_store_n(committed_, end, __ATOMIC_RELEASE);
  }
  return info.Env().Undefined();
}

void Ring::Stop() {
  if (!committed_)
    return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  drained_.notify_one();
  uint64_t one = 1;
  if (write(kick_.get(), &one, sizeof(one)) < 0) {
    // Full of kicks already.
  }
  waiter_.join();
  Unmap();
}

// Bytes, heads of the events included
Napi::Value Ring::Size(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), static_cast<double>(size_));
}

Napi::Value Ring::Close(const Napi::CallbackInfo &info) {
  Stop();
  return info.Env().Undefined();
}

} // namespace sluice
