// SPDX-License-Identifier: Apache-2.0
// A pinned BPF map. Keys and values are Buffers of exactly the map's sizes; layouts are the caller's
// business.
#pragma once

#include "errors.h"

namespace sluice {

class BpfMap : public Napi::ObjectWrap<BpfMap> {
public:
  static Napi::Function Init(Napi::Env env);
  explicit BpfMap(const Napi::CallbackInfo &info);

private:
  Napi::Value Lookup(const Napi::CallbackInfo &info);
  Napi::Value Update(const Napi::CallbackInfo &info);
  Napi::Value Delete(const Napi::CallbackInfo &info);
  Napi::Value Keys(const Napi::CallbackInfo &info);
  Napi::Value Size(const Napi::CallbackInfo &info);
  Napi::Value Close(const Napi::CallbackInfo &info);
  const void *BytesArg(const Napi::CallbackInfo &info, size_t index, size_t size, const char *what);

  Fd fd_;
  std::string path_;
  uint32_t key_size_ = 0;
  uint32_t value_size_ = 0; // what a lookup returns: per-CPU maps give all CPUs' values, each rounded up to 8
  uint32_t max_entries_ = 0;
};

} // namespace sluice
