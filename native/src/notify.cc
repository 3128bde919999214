// SPDX-License-Identifier: Apache-2.0
#include "notify.h"

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>

namespace sluice {

bool Notify(Napi::Env env, const std::string &text, int fd) {
  // '@' stands for the abstract namespace.
  const char *path = getenv("NOTIFY_SOCKET");
  if (!path || (path[0] != '/' && path[0] != '@'))
    return false;
  sockaddr_un address = {};
  size_t length = strlen(path);
  if (length >= sizeof(address.sun_path))
    return false;
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path, length);
  if (address.sun_path[0] == '@')
    address.sun_path[0] = 0;
  Fd line(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!line)
    throw SystemError(env, "socket", errno);
  iovec data = {const_cast<char *>(text.data()), text.size()};
  union {
    cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {};
  msghdr header = {};
  header.msg_name = &address;
  header.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control.bytes;
    header.msg_controllen = sizeof(control.bytes);
    cmsghdr *part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(part), &fd, sizeof(fd));
  }
  if (sendmsg(line.get(), &header, MSG_NOSIGNAL) < 0)
    throw SystemError(env, "sd_notify", errno);
  return true;
}

Napi::Value SdNotify(const Napi::CallbackInfo &info) {
  std::string text = info[0].As<Napi::String>().Utf8Value();
  return Napi::Boolean::New(info.Env(), Notify(info.Env(), text, -1));
}

} // namespace sluice
