// SPDX-License-Identifier: Apache-2.0
// Network namespaces of other processes: what they are, and sockets inside them.
#pragma once

#include "errors.h"

#include <functional>

namespace sluice {

// What failed, without an Env at hand; `error` 0: nothing did.
struct Failure {
  std::string what;
  int error = 0;
};

// Runs `work` in the network namespace behind `fd`, on a thread made for it: the caller's own never leaves
// home, which is where it runs for a negative `fd`.
Failure InNamespace(int fd, const std::function<Failure()> &work);

// openNamespace(tid) -> {fd, cookie, inode, ownerUid}: the network namespace of a task. ownerUid is that of
// whoever made the user namespace it belongs to; null when that is the initial one. Throws ENOENT or ESRCH
// for a task that is gone.
Napi::Value OpenNamespace(const Napi::CallbackInfo &info);

// homeNamespace() -> {cookie, inode} of this process's own
Napi::Value HomeNamespace(const Napi::CallbackInfo &info);

// socketsIn(netns, family, count) -> [fd]: unconnected TCP sockets there
Napi::Value SocketsIn(const Napi::CallbackInfo &info);

} // namespace sluice
