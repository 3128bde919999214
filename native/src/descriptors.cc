// SPDX-License-Identifier: Apache-2.0
#include "descriptors.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <sys/socket.h>
#include <vector>

namespace sluice {
namespace {

// Bounds both ends agree on; the kernel takes 253 descriptors at a time.
constexpr size_t kMaxMessage = 2048;
constexpr size_t kMaxDescriptors = 64;

union Control {
  cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
};

struct Parcel {
  std::vector<uint8_t> message;
  std::vector<Fd> descriptors;
};

std::vector<Fd> Unpack(msghdr *header) {
  std::vector<Fd> descriptors;
  for (cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
      continue;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t index = 0; index < count; index++) {
      int fd;
      memcpy(&fd, CMSG_DATA(part) + index * sizeof(int), sizeof(fd));
      descriptors.emplace_back(fd);
    }
  }
  return descriptors;
}

void Deliver(Napi::Env env, Napi::Function callback, Parcel *raw) {
  std::unique_ptr<Parcel> parcel(raw);
  if (!static_cast<napi_env>(env))
    return; // the process is ending
  auto fds = Napi::Array::New(env, parcel->descriptors.size());
  for (uint32_t index = 0; index < parcel->descriptors.size(); index++)
    fds.Set(index, parcel->descriptors[index].Release());
  callback.Call({Napi::Buffer<uint8_t>::Copy(env, parcel->message.data(), parcel->message.size()), fds});
}

} // namespace

Napi::Value DescriptorPair(const Napi::CallbackInfo &info) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
    throw SystemError(info.Env(), "socketpair", errno);
  auto result = Napi::Array::New(info.Env(), 2);
  result.Set(0u, fds[0]);
  result.Set(1u, fds[1]);
  return result;
}

Napi::Value SendDescriptors(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int socket = info[0].As<Napi::Number>().Int32Value();
  auto message = info[1].As<Napi::Buffer<uint8_t>>();
  auto fds = info[2].As<Napi::Array>();
  size_t count = fds.Length();
  if (message.Length() == 0 || message.Length() > kMaxMessage || count > kMaxDescriptors)
    throw Napi::RangeError::New(env, "a message with too much or nothing in it");
  Control control = {};
  iovec data = {message.Data(), message.Length()};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (count > 0) {
    header.msg_control = control.bytes;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr *part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int) * count);
    for (uint32_t index = 0; index < count; index++) {
      int fd = fds.Get(index).As<Napi::Number>().Int32Value();
      memcpy(CMSG_DATA(part) + index * sizeof(int), &fd, sizeof(fd));
    }
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  bool gone = errno == EAGAIN || errno == EPIPE || errno == ECONNRESET || errno == ETOOMANYREFS;
  if (sent < 0 && !gone)
    throw SystemError(env, "sendmsg", errno);
  return Napi::Boolean::New(env, sent >= 0);
}

Napi::Function DescriptorReader::Init(Napi::Env env) {
  return DefineClass(env, "DescriptorReader", {InstanceMethod<&DescriptorReader::Close>("close")});
}

DescriptorReader::DescriptorReader(const Napi::CallbackInfo &info)
    : Napi::ObjectWrap<DescriptorReader>(info) {
  socket_.Reset(info[0].As<Napi::Number>().Int32Value());
  notify_ =
      Napi::ThreadSafeFunction::New(info.Env(), info[1].As<Napi::Function>(), "sluice-descriptors", 0, 1);
  // It must not keep the process alive by itself.
  notify_.Unref(info.Env());
  reader_ = std::thread([this] { Read(); });
}

DescriptorReader::~DescriptorReader() {
  Stop();
}

void DescriptorReader::Read() {
  for (;;) {
    auto parcel = std::make_unique<Parcel>();
    parcel->message.resize(kMaxMessage);
    Control control = {};
    iovec data = {parcel->message.data(), kMaxMessage};
    msghdr header = {};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control.bytes;
    header.msg_controllen = sizeof(control.bytes);
    ssize_t size = recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
    if (size < 0 && errno == EINTR)
      continue;
    if (size <= 0)
      break;
    parcel->message.resize(static_cast<size_t>(size));
    parcel->descriptors = Unpack(&header);
    // Cut short: descriptors are missing, as when this process may have no more of them.
    if (header.msg_flags & (MSG_CTRUNC | MSG_TRUNC))
      parcel->descriptors.clear();
    if (notify_.NonBlockingCall(parcel.get(), Deliver) != napi_ok)
      break;
    parcel.release();
  }
  notify_.Release();
}

void DescriptorReader::Stop() {
  if (!reader_.joinable())
    return;
  shutdown(socket_.get(), SHUT_RDWR);
  reader_.join();
}

Napi::Value DescriptorReader::Close(const Napi::CallbackInfo &info) {
  Stop();
  return info.Env().Undefined();
}

} // namespace sluice
