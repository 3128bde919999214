// SPDX-License-Identifier: Apache-2.0
#include "errors.h"

#include <cstring>

namespace sluice {

Napi::Error SystemError(Napi::Env env, const std::string &what, int error) {
  const char *name = strerrorname_np(error);
  std::string code = name ? name : "E" + std::to_string(error);
  Napi::Error result = Napi::Error::New(env, what + ": " + strerror(error) + " (" + code + ")");
  result.Set("code", Napi::String::New(env, code));
  result.Set("errno", Napi::Number::New(env, error));
  result.Set("syscall", Napi::String::New(env, what));
  return result;
}

} // namespace sluice
