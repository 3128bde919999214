// SPDX-License-Identifier: Apache-2.0
// sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names.
#pragma once

#include "errors.h"

namespace sluice {

// Whether there was a socket to tell. `fd` goes with it; -1: none.
bool Notify(Napi::Env env, const std::string &text, int fd);

// sdNotify(text) -> whether there was a socket to tell
Napi::Value SdNotify(const Napi::CallbackInfo &info);

} // namespace sluice
