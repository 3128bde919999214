// SPDX-License-Identifier: Apache-2.0
// What Node has no call for: locks, hardening of the own process.
#pragma once

#include "errors.h"

namespace sluice {

// lockFile(path) -> fd of an existing file or directory; throws EAGAIN when another process holds the lock,
// which goes with the process.
Napi::Value LockFile(const Napi::CallbackInfo &info);

// harden({noNewPrivs, dieWithParent}): no core dumps, not to be ptraced or read by processes of the same
// user.
Napi::Value Harden(const Napi::CallbackInfo &info);

// raiseFileLimit() -> the soft RLIMIT_NOFILE now in force, raised to the hard one
Napi::Value RaiseFileLimit(const Napi::CallbackInfo &info);

} // namespace sluice
