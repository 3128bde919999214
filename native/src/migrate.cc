// SPDX-License-Identifier: Apache-2.0
#include "migrate.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <cerrno>
#include <linux/membarrier.h>
#include <sys/syscall.h>

namespace sluice {
namespace {

class Btf {
public:
  explicit Btf(uint32_t id) : btf_(id ? btf__load_from_kernel_by_id(id) : nullptr) {
  }
  Btf(const Btf &) = delete;
  Btf &operator=(const Btf &) = delete;
  ~Btf() {
    btf__free(btf_);
  }
  const btf *get() const {
    return btf_;
  }

private:
  btf *btf_;
};

// The type behind its names and qualifiers.
const btf_type *Resolve(const btf *types, uint32_t &id) {
  const btf_type *type = btf__type_by_id(types, id);
  while (type && (btf_is_mod(type) || btf_is_typedef(type))) {
    id = type->type;
    type = btf__type_by_id(types, id);
  }
  return type;
}

struct Leaves {
  Napi::Env env;
  Napi::Array list;
  uint32_t count = 0;

  void Add(const std::string &name, uint32_t offset, uint32_t size) {
    auto leaf = Napi::Object::New(env);
    leaf.Set("name", name);
    leaf.Set("offset", offset);
    leaf.Set("size", size);
    list.Set(count++, leaf);
  }
};

// Every field that is no struct itself, by its path. What is an array of numbers is one field.
void Walk(const btf *types, uint32_t id, const std::string &path, uint32_t offset, Leaves &leaves) {
  const btf_type *type = Resolve(types, id);
  if (!type)
    return;
  if (btf_is_struct(type)) {
    const btf_member *member = btf_members(type);
    for (uint16_t n = 0; n < btf_vlen(type); n++, member++) {
      std::string name = btf__name_by_offset(types, member->name_off);
      Walk(types, member->type, path.empty() ? name : path + "." + name,
           offset + btf_member_bit_offset(type, n) / 8, leaves);
    }
    return;
  }
  if (btf_is_array(type)) {
    const struct btf_array *array = btf_array(type);
    uint32_t element = array->type;
    const btf_type *of = Resolve(types, element);
    if (of && btf_is_struct(of)) {
      for (uint32_t n = 0; n < array->nelems; n++)
        Walk(types, element, path + "[" + std::to_string(n) + "]", offset + n * of->size, leaves);
      return;
    }
  }
  int64_t size = btf__resolve_size(types, id);
  if (size > 0)
    leaves.Add(path, offset, static_cast<uint32_t>(size));
}

Napi::Value Describe(Napi::Env env, const btf *types, uint32_t id) {
  int64_t size = types && id ? btf__resolve_size(types, id) : -1;
  if (size < 0)
    return env.Null();
  Leaves leaves{env, Napi::Array::New(env)};
  Walk(types, id, "", 0, leaves);
  auto result = Napi::Object::New(env);
  result.Set("size", static_cast<uint32_t>(size));
  result.Set("fields", leaves.list);
  return result;
}

uint32_t ProgramOfLink(Napi::Env env, int link, const std::string &pin) {
  bpf_link_info info = {};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(link, &info, &size))
    throw SystemError(env, "bpf_obj_get_info_by_fd " + pin, errno);
  return info.prog_id;
}

Fd OpenPin(Napi::Env env, const std::string &pin) {
  Fd fd(bpf_obj_get(pin.c_str()));
  if (!fd)
    throw SystemError(env, "bpf_obj_get " + pin, errno);
  return fd;
}

Fd OpenProgram(Napi::Env env, uint32_t id) {
  Fd fd(bpf_prog_get_fd_by_id(id));
  if (!fd)
    throw SystemError(env, "bpf_prog_get_fd_by_id", errno);
  return fd;
}

} // namespace

Napi::Value DescribeStruct(Napi::Env env, const btf *types, const std::string &name) {
  int id = types ? btf__find_by_name_kind(types, name.c_str(), BTF_KIND_STRUCT) : -ENOENT;
  return id > 0 ? Describe(env, types, static_cast<uint32_t>(id)) : env.Null();
}

Napi::Value MapShape(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string pin = info[0].As<Napi::String>().Utf8Value();
  Fd fd = OpenPin(env, pin);
  bpf_map_info map = {};
  uint32_t size = sizeof(map);
  if (bpf_obj_get_info_by_fd(fd.get(), &map, &size))
    throw SystemError(env, "bpf_obj_get_info_by_fd " + pin, errno);
  Btf types(map.btf_id);
  auto result = Napi::Object::New(env);
  result.Set("type", map.type);
  result.Set("keySize", map.key_size);
  result.Set("valueSize", map.value_size);
  result.Set("maxEntries", map.max_entries);
  result.Set("key", Describe(env, types.get(), map.btf_key_type_id));
  result.Set("value", Describe(env, types.get(), map.btf_value_type_id));
  return result;
}

Napi::Value ProgramStruct(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string pin = info[0].As<Napi::String>().Utf8Value();
  std::string name = info[1].As<Napi::String>().Utf8Value();
  Fd array = OpenPin(env, pin);
  uint32_t zero = 0, program_id = 0;
  if (bpf_map_lookup_elem(array.get(), &zero, &program_id))
    throw SystemError(env, "bpf_map_lookup_elem " + pin, errno);
  Fd program = OpenProgram(env, program_id);
  bpf_prog_info about = {};
  uint32_t size = sizeof(about);
  if (bpf_obj_get_info_by_fd(program.get(), &about, &size))
    throw SystemError(env, "bpf_obj_get_info_by_fd " + pin, errno);
  Btf types(about.btf_id);
  return DescribeStruct(env, types.get(), name);
}

Napi::Value CallFormer(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string array_pin = info[0].As<Napi::String>().Utf8Value();
  std::string link_pin = info[1].As<Napi::String>().Utf8Value();
  Fd array = OpenPin(env, array_pin), link = OpenPin(env, link_pin);
  Fd program = OpenProgram(env, ProgramOfLink(env, link.get(), link_pin));
  uint32_t zero = 0;
  int fd = program.get();
  if (bpf_map_update_elem(array.get(), &zero, &fd, BPF_ANY))
    throw SystemError(env, "bpf_map_update_elem " + array_pin, errno);
  return env.Undefined();
}

Napi::Value RestoreFormer(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string array_pin = info[0].As<Napi::String>().Utf8Value();
  std::string link_pin = info[1].As<Napi::String>().Utf8Value();
  Fd array = OpenPin(env, array_pin), link = OpenPin(env, link_pin);
  uint32_t zero = 0, id = 0;
  if (bpf_map_lookup_elem(array.get(), &zero, &id))
    return Napi::Boolean::New(env, false);
  Fd program = OpenProgram(env, id);
  if (bpf_link_update(link.get(), program.get(), nullptr))
    throw SystemError(env, "bpf_link_update " + link_pin, errno);
  return Napi::Boolean::New(env, true);
}

// All programs run inside RCU read sections, and this command waits until those that have begun are over.
Napi::Value WaitForPrograms(const Napi::CallbackInfo &info) {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
    throw SystemError(info.Env(), "membarrier", errno);
  return info.Env().Undefined();
}

} // namespace sluice
