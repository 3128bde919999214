// SPDX-License-Identifier: Apache-2.0
#include "datagrams.h"

#include "../../bpf/api/sluice.h"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

namespace sluice {
namespace {

// One turn of the event loop: more would keep it from everything else. A socket that has more, or is not
// among the first, has its turn next: epoll hands them out in rotation.
constexpr int kSocketBatch = 16;
constexpr int kBatch = 64;

// The ticket the datagram came with; 0 if none.
uint32_t TicketOf(msghdr *message) {
  for (cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at))
    if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SO_MARK) {
      uint32_t ticket;
      memcpy(&ticket, CMSG_DATA(at), sizeof(ticket));
      return ticket;
    }
  return 0;
}

// False where the kernel tells no flow of this size.
bool FlowOf(int fd, uint32_t ticket, std::vector<uint8_t> &flow) {
  auto length = static_cast<socklen_t>(flow.size());
  return !getsockopt(fd, SLUICE_SOL_DATAGRAM, static_cast<int>(ticket), flow.data(), &length) &&
         length == flow.size();
}

template <typename T> Napi::Buffer<uint8_t> Bytes(Napi::Env env, const T *data, size_t size) {
  return Napi::Buffer<uint8_t>::Copy(env, reinterpret_cast<const uint8_t *>(data), size);
}

} // namespace

Napi::Function Datagrams::Init(Napi::Env env) {
  return DefineClass(env, "Datagrams",
                     {
                         InstanceMethod<&Datagrams::Add>("add"),
                         InstanceMethod<&Datagrams::Remove>("remove"),
                         InstanceMethod<&Datagrams::Receive>("receive"),
                         InstanceMethod<&Datagrams::Send>("send"),
                         InstanceMethod<&Datagrams::Close>("close"),
                     });
}

// new Datagrams(maxBytes, flowBytes, onReady): the size of struct sluice_flow; onReady() is called when there
// is something for receive()
Datagrams::Datagrams(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Datagrams>(info) {
  buffer_.resize(info[0].As<Napi::Number>().Uint32Value());
  flow_.resize(info[1].As<Napi::Number>().Uint32Value());
  ready_.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (!ready_)
    throw SystemError(info.Env(), "epoll_create1", errno);
  stop_.Reset(eventfd(0, EFD_CLOEXEC));
  if (!stop_)
    throw SystemError(info.Env(), "eventfd", errno);
  notify_ = Napi::ThreadSafeFunction::New(info.Env(), info[2].As<Napi::Function>(), "sluice-datagrams", 1, 1);
  waiter_ = std::thread([this] { Wait(); });
}

Datagrams::~Datagrams() {
  Stop();
}

void Datagrams::Wait() {
  pollfd fds[2] = {{ready_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
  for (;;) {
    if (poll(fds, 2, -1) < 0 && errno != EINTR)
      break;
    if (fds[1].revents)
      break;
    if (!fds[0].revents)
      continue;
    std::unique_lock<std::mutex> lock(mutex_);
    pending_ = true;
    if (stopping_ || notify_.NonBlockingCall() != napi_ok)
      break;
    drained_.wait(lock, [this] { return !pending_ || stopping_; });
  }
  notify_.Release();
}

// add(fd) -> number of the socket, which is owned from now on
Napi::Value Datagrams::Add(const Napi::CallbackInfo &info) {
  Fd fd(info[0].As<Napi::Number>().Int32Value());
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u32 = next_;
  if (epoll_ctl(ready_.get(), EPOLL_CTL_ADD, fd.get(), &event))
    throw SystemError(info.Env(), "epoll_ctl", errno);
  sockets_.emplace(next_, std::move(fd));
  return Napi::Number::New(info.Env(), next_++);
}

// remove(socket): closes it
Napi::Value Datagrams::Remove(const Napi::CallbackInfo &info) {
  auto found = sockets_.find(info[0].As<Napi::Number>().Uint32Value());
  if (found != sockets_.end()) {
    // Closing is not enough: the daemon has the same socket open.
    epoll_ctl(ready_.get(), EPOLL_CTL_DEL, found->second.get(), nullptr);
    sockets_.erase(found);
  }
  return info.Env().Undefined();
}

// receive() -> [{socket, bytes, from, flow}]
Napi::Value Datagrams::Receive(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  auto result = Napi::Array::New(env);
  epoll_event events[kSocketBatch];
  int count = epoll_wait(ready_.get(), events, kSocketBatch, 0);
  for (int i = 0; i < count; i++)
    ReceiveFrom(result, events[i].data.u32);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    pending_ = false;
  }
  drained_.notify_one();
  return result;
}

void Datagrams::ReceiveFrom(Napi::Array result, uint32_t socket) {
  Napi::Env env = result.Env();
  auto found = sockets_.find(socket);
  for (int i = 0; i < kBatch && found != sockets_.end(); i++) {
    int fd = found->second.get();
    sockaddr_storage from = {};
    iovec data = {buffer_.data(), buffer_.size()};
    alignas(cmsghdr) char control[256];
    msghdr message = {};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    // Errors of the socket (an agent that is gone before its answer) are taken off it by the call that fails.
    ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      break;
    if (size < 0 || (message.msg_flags & MSG_TRUNC) || !FlowOf(fd, TicketOf(&message), flow_))
      continue;
    auto entry = Napi::Object::New(env);
    entry.Set("socket", Napi::Number::New(env, socket));
    entry.Set("bytes", Bytes(env, buffer_.data(), static_cast<size_t>(size)));
    entry.Set("from", Bytes(env, &from, message.msg_namelen));
    entry.Set("flow", Bytes(env, flow_.data(), flow_.size()));
    result.Set(result.Length(), entry);
  }
}

// send(socket, bytes, to) -> whether the kernel took it
Napi::Value Datagrams::Send(const Napi::CallbackInfo &info) {
  auto found = sockets_.find(info[0].As<Napi::Number>().Uint32Value());
  if (found == sockets_.end())
    return Napi::Boolean::New(info.Env(), false);
  auto bytes = info[1].As<Napi::Uint8Array>();
  auto to = info[2].As<Napi::Uint8Array>();
  ssize_t sent =
      sendto(found->second.get(), bytes.Data(), bytes.ByteLength(), MSG_DONTWAIT | MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr *>(to.Data()), static_cast<socklen_t>(to.ByteLength()));
  return Napi::Boolean::New(info.Env(), sent == static_cast<ssize_t>(bytes.ByteLength()));
}

void Datagrams::Stop() {
  if (!waiter_.joinable())
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
  sockets_.clear();
}

Napi::Value Datagrams::Close(const Napi::CallbackInfo &info) {
  Stop();
  return info.Env().Undefined();
}

} // namespace sluice
