// SPDX-License-Identifier: Apache-2.0
#include "bpf_map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <vector>

namespace sluice {

Napi::Function BpfMap::Init(Napi::Env env) {
  return DefineClass(env, "BpfMap",
                     {
                         InstanceMethod<&BpfMap::Lookup>("lookup"),
                         InstanceMethod<&BpfMap::Update>("update"),
                         InstanceMethod<&BpfMap::Delete>("delete"),
                         InstanceMethod<&BpfMap::Keys>("keys"),
                         InstanceMethod<&BpfMap::Size>("size"),
                         InstanceMethod<&BpfMap::Close>("close"),
                     });
}

// new BpfMap(pinPath)
BpfMap::BpfMap(const Napi::CallbackInfo &info) : Napi::ObjectWrap<BpfMap>(info) {
  path_ = info[0].As<Napi::String>().Utf8Value();
  fd_.Reset(bpf_obj_get(path_.c_str()));
  if (!fd_)
    throw SystemError(info.Env(), "bpf_obj_get " + path_, errno);
  bpf_map_info map = {};
  uint32_t size = sizeof(map);
  if (bpf_obj_get_info_by_fd(fd_.get(), &map, &size))
    throw SystemError(info.Env(), "bpf_obj_get_info_by_fd " + path_, errno);
  key_size_ = map.key_size;
  value_size_ = map.value_size;
  max_entries_ = map.max_entries;
  if (map.type == BPF_MAP_TYPE_PERCPU_ARRAY || map.type == BPF_MAP_TYPE_PERCPU_HASH)
    value_size_ = ((map.value_size + 7) & ~7u) * static_cast<uint32_t>(libbpf_num_possible_cpus());
}

const void *BpfMap::BytesArg(const Napi::CallbackInfo &info, size_t index, size_t size, const char *what) {
  if (!fd_)
    throw Napi::Error::New(info.Env(), path_ + ": map is closed");
  if (!info[index].IsBuffer())
    throw Napi::TypeError::New(info.Env(), path_ + ": " + what + " must be a Buffer");
  auto buffer = info[index].As<Napi::Buffer<uint8_t>>();
  if (buffer.Length() != size)
    throw Napi::RangeError::New(info.Env(), path_ + ": " + what + " must have " + std::to_string(size) +
                                                " bytes, not " + std::to_string(buffer.Length()));
  return buffer.Data();
}

// lookup(key) -> Buffer | null
Napi::Value BpfMap::Lookup(const Napi::CallbackInfo &info) {
  const void *key = BytesArg(info, 0, key_size_, "key");
  auto value = Napi::Buffer<uint8_t>::New(info.Env(), value_size_);
  if (bpf_map_lookup_elem(fd_.get(), key, value.Data()) == 0)
    return value;
  if (errno == ENOENT)
    return info.Env().Null();
  throw SystemError(info.Env(), "bpf_map_lookup_elem " + path_, errno);
}

// update(key, value)
Napi::Value BpfMap::Update(const Napi::CallbackInfo &info) {
  const void *key = BytesArg(info, 0, key_size_, "key");
  const void *value = BytesArg(info, 1, value_size_, "value");
  if (bpf_map_update_elem(fd_.get(), key, value, BPF_ANY))
    throw SystemError(info.Env(), "bpf_map_update_elem " + path_, errno);
  return info.Env().Undefined();
}

// delete(key) -> whether it was there
Napi::Value BpfMap::Delete(const Napi::CallbackInfo &info) {
  const void *key = BytesArg(info, 0, key_size_, "key");
  if (bpf_map_delete_elem(fd_.get(), key) == 0)
    return Napi::Boolean::New(info.Env(), true);
  if (errno == ENOENT)
    return Napi::Boolean::New(info.Env(), false);
  throw SystemError(info.Env(), "bpf_map_delete_elem " + path_, errno);
}

// keys() -> Buffer[]; a map that changes meanwhile may show a key twice or not at all, but the walk ends
Napi::Value BpfMap::Keys(const Napi::CallbackInfo &info) {
  auto result = Napi::Array::New(info.Env());
  std::vector<uint8_t> key(key_size_), next(key_size_);
  void *previous = nullptr;
  for (uint32_t count = 0; count < max_entries_ * 2 && fd_; count++) {
    if (bpf_map_get_next_key(fd_.get(), previous, next.data()))
      break;
    key = next;
    previous = key.data();
    result.Set(count, Napi::Buffer<uint8_t>::Copy(info.Env(), key.data(), key.size()));
  }
  return result;
}

// size() -> the most entries it takes; of a ring: bytes
Napi::Value BpfMap::Size(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), max_entries_);
}

Napi::Value BpfMap::Close(const Napi::CallbackInfo &info) {
  fd_.Reset(-1);
  return info.Env().Undefined();
}

} // namespace sluice
