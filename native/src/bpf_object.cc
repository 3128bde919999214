// SPDX-License-Identifier: Apache-2.0
#include "bpf_object.h"
#include "migrate.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <fcntl.h>
#include <vector>

namespace sluice {
namespace {

// What libbpf said during the call under way: a failed load is worth nothing without the verifier's words.
// Kept to its last 64 KiB, where the reason stands.
thread_local std::string libbpf_log;

// All the verifier said comes in one call, some megabytes of it, and its end is what counts: so it is written
// whole before it is cut.
int KeepLog(libbpf_print_level level, const char *format, va_list args) {
  if (level == LIBBPF_DEBUG)
    return 0;
  va_list again;
  va_copy(again, args);
  int length = vsnprintf(nullptr, 0, format, args);
  if (length > 0) {
    size_t before = libbpf_log.size();
    libbpf_log.resize(before + length);
    vsnprintf(&libbpf_log[before], static_cast<size_t>(length) + 1, format,
              again); // the last byte is the string's own 0
  }
  va_end(again);
  if (libbpf_log.size() > 65536)
    libbpf_log.erase(0, libbpf_log.size() - 65536);
  return length;
}

Napi::Error ErrorWithLog(Napi::Env env, const std::string &what, int error) {
  Napi::Error result = SystemError(env, what, error);
  result.Set("log", Napi::String::New(env, libbpf_log));
  return result;
}

// Hands the link over to its pin.
void PinLink(Napi::Env env, bpf_link *link, const std::string &pin) {
  if (!link)
    throw ErrorWithLog(env, "attach for " + pin, errno);
  int error = bpf_link__pin(link, pin.c_str());
  bpf_link__destroy(link); // closes the descriptor; the pin keeps the link
  if (error)
    throw ErrorWithLog(env, "pin " + pin, -error);
}

// A tracing link, and so one of the BPF LSM, cannot be given another program (bpf_link_update answers
// EINVAL), so the new one is put beside the old and takes over its pin; for that moment both run, and what
// they do twice they do alike.
void AttachTracing(Napi::Env env, bpf_program *program, const std::string &pin) {
  std::string fresh = pin + "_new"; // bpffs keeps dots in names to itself
  unlink(fresh.c_str());            // of an attempt that was interrupted
  PinLink(env, bpf_program__attach(program), fresh);
  if (rename(fresh.c_str(), pin.c_str()))
    throw SystemError(env, "rename " + fresh, errno);
}

// Maps whose size is up to the operator: what is pinned already keeps the size it was made with. The size of
// arrays is a part of what they mean.
bool MayHaveAnySize(const bpf_map *map) {
  switch (bpf_map__type(map)) {
  case BPF_MAP_TYPE_HASH:
  case BPF_MAP_TYPE_LRU_HASH:
  case BPF_MAP_TYPE_PERCPU_HASH:
  case BPF_MAP_TYPE_LPM_TRIE:
  case BPF_MAP_TYPE_RINGBUF:
    return true;
  default:
    return false;
  }
}

uint32_t PinnedSize(const char *pin) {
  Fd fd(pin ? bpf_obj_get(pin) : -1);
  bpf_map_info map = {};
  uint32_t size = sizeof(map);
  return fd && !bpf_obj_get_info_by_fd(fd.get(), &map, &size) ? map.max_entries : 0;
}

std::string ProgramName(uint32_t id) {
  Fd fd(bpf_prog_get_fd_by_id(id));
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &size))
    return "";
  return info.name;
}

// 0 before the load.
uint32_t ProgramId(const bpf_program *program) {
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  int fd = bpf_program__fd(program);
  return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.id;
}

uint32_t LinkedProgramId(const Fd &link) {
  bpf_link_info info = {};
  uint32_t size = sizeof(info);
  return bpf_obj_get_info_by_fd(link.get(), &info, &size) ? 0 : info.prog_id;
}

// How many instructions the verifier went through, each as often as it came by; 0 before the load.
uint32_t VerifiedInstructions(const bpf_program *program) {
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  int fd = bpf_program__fd(program);
  if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size))
    return 0;
  return info.verified_insns;
}

// Whether `bytes` has all of it, or as much as `limit`.
bool ReadIterator(Napi::Env env, bpf_program *program, const bpf_iter_attach_opts *options, size_t limit,
                  std::vector<uint8_t> &bytes) {
  std::string name = bpf_program__name(program);
  bpf_link *link = bpf_program__attach_iter(program, options);
  if (!link)
    throw ErrorWithLog(env, "iterate " + name, errno);
  Fd iterator(bpf_iter_create(bpf_link__fd(link)));
  int error = errno;
  bpf_link__destroy(link); // the iterator holds it
  if (!iterator)
    throw SystemError(env, "bpf_iter_create " + name, error);

  uint8_t chunk[32768];
  ssize_t length = 0;
  while (bytes.size() < limit && (length = read(iterator.get(), chunk, sizeof(chunk))) != 0) {
    if (length < 0 && (errno == EINTR || errno == EAGAIN))
      continue;
    if (length < 0)
      throw SystemError(env, "read " + name, errno);
    bytes.insert(bytes.end(), chunk, chunk + length);
  }
  return length == 0;
}

} // namespace

Napi::Function BpfObject::Init(Napi::Env env) {
  libbpf_set_print(KeepLog);
  return DefineClass(env, "BpfObject",
                     {
                         InstanceMethod<&BpfObject::Load>("load"),
                         InstanceMethod<&BpfObject::Programs>("programs"),
                         InstanceMethod<&BpfObject::Attach>("attach"),
                         InstanceMethod<&BpfObject::Iterate>("iterate"),
                         InstanceMethod<&BpfObject::IterateMap>("iterateMap"),
                         InstanceMethod<&BpfObject::Run>("run"),
                         InstanceMethod<&BpfObject::Struct>("struct"),
                         InstanceMethod<&BpfObject::Close>("close"),
                     });
}

// new BpfObject(file, mapPinDirectory, pins?): parses only. Maps that `pins` has by name are those that are
// pinned there, whatever the object says of their shape.
BpfObject::BpfObject(const Napi::CallbackInfo &info) : Napi::ObjectWrap<BpfObject>(info) {
  path_ = info[0].As<Napi::String>().Utf8Value();
  std::string pins = info[1].As<Napi::String>().Utf8Value();
  LIBBPF_OPTS(bpf_object_open_opts, options, .pin_root_path = pins.c_str());
  libbpf_log.clear();
  object_ = bpf_object__open_file(path_.c_str(), &options);
  if (!object_)
    throw ErrorWithLog(info.Env(), "open " + path_, errno);
  if (!info[2].IsObject())
    return;
  try {
    Reuse(info.Env(), info[2].As<Napi::Object>());
  } catch (...) {
    Free();
    throw;
  }
}

void BpfObject::Reuse(Napi::Env env, const Napi::Object &pins) {
  bpf_map *map;
  bpf_object__for_each_map(map, object_) {
    Napi::Value pin = pins.Get(bpf_map__name(map));
    if (!pin.IsString())
      continue;
    std::string path = pin.As<Napi::String>().Utf8Value();
    Fd fd(bpf_obj_get(path.c_str()));
    if (!fd)
      throw SystemError(env, "bpf_obj_get " + path, errno);
    int error = bpf_map__reuse_fd(map, fd.get());
    if (error)
      throw ErrorWithLog(env, "bpf_map__reuse_fd " + path, -error);
  }
}

BpfObject::~BpfObject() {
  Free();
}

void BpfObject::Free() {
  if (object_)
    bpf_object__close(object_);
  object_ = nullptr;
}

bpf_object *BpfObject::Get(const Napi::CallbackInfo &info) {
  if (!object_)
    throw Napi::Error::New(info.Env(), path_ + ": object is closed");
  return object_;
}

// The program an argument names.
bpf_program *BpfObject::Program(const Napi::CallbackInfo &info) {
  std::string name = info[0].As<Napi::String>().Utf8Value();
  bpf_program *program = bpf_object__find_program_by_name(Get(info), name.c_str());
  if (!program)
    throw SystemError(info.Env(), "find program " + name, ENOENT);
  return program;
}

// load(sizes?): creates or reuses the pinned maps and passes the programs through the verifier; `sizes` are
// the most entries (of rings: bytes) of maps that are not pinned yet, by name
Napi::Value BpfObject::Load(const Napi::CallbackInfo &info) {
  auto sizes = info[0].IsObject() ? info[0].As<Napi::Object>() : Napi::Object::New(info.Env());
  bpf_map *map;
  bpf_object__for_each_map(map, Get(info)) {
    if (!MayHaveAnySize(map))
      continue;
    Napi::Value wanted = sizes.Get(bpf_map__name(map));
    uint32_t size = PinnedSize(bpf_map__pin_path(map));
    if (!size && wanted.IsNumber())
      size = wanted.As<Napi::Number>().Uint32Value();
    if (size)
      bpf_map__set_max_entries(map, size);
  }
  libbpf_log.clear();
  int error = bpf_object__load(Get(info));
  if (error)
    throw ErrorWithLog(info.Env(), "load " + path_, -error);
  return info.Env().Undefined();
}

// programs() -> [{name, section, attachType, verifiedInstructions}]
Napi::Value BpfObject::Programs(const Napi::CallbackInfo &info) {
  auto result = Napi::Array::New(info.Env());
  bpf_program *program;
  uint32_t index = 0;
  bpf_object__for_each_program(program, Get(info)) {
    auto entry = Napi::Object::New(info.Env());
    entry.Set("name", bpf_program__name(program));
    entry.Set("section", bpf_program__section_name(program));
    entry.Set("attachType", static_cast<uint32_t>(bpf_program__expected_attach_type(program)));
    entry.Set("verifiedInstructions", VerifiedInstructions(program));
    result.Set(index++, entry);
  }
  return result;
}

// attach(programName, cgroupPath, linkPinPath) -> "attached" | "replaced" | "there". What is in force already
// gives way to the new program without a moment in which there is none; unless it is this very program, as
// after a migration: no kernel before 6.10 has one twice at a tracepoint.
Napi::Value BpfObject::Attach(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string name = info[0].As<Napi::String>().Utf8Value();
  std::string cgroup_path = info[1].As<Napi::String>().Utf8Value();
  std::string pin = info[2].As<Napi::String>().Utf8Value();
  bpf_program *program = Program(info);
  libbpf_log.clear();

  Fd pinned(bpf_obj_get(pin.c_str()));
  if (pinned && ProgramId(program) && LinkedProgramId(pinned) == ProgramId(program))
    return Napi::String::New(env, "there");
  if (bpf_program__type(program) == BPF_PROG_TYPE_TRACING ||
      bpf_program__type(program) == BPF_PROG_TYPE_LSM) {
    AttachTracing(env, program, pin);
  } else if (pinned) {
    if (bpf_link_update(pinned.get(), bpf_program__fd(program), nullptr))
      throw ErrorWithLog(env, "bpf_link_update " + name, errno);
  } else {
    Fd cgroup(open(cgroup_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!cgroup)
      throw SystemError(env, "open " + cgroup_path, errno);
    PinLink(env, bpf_program__attach_cgroup(program, cgroup.get()), pin);
  }
  return Napi::String::New(env, pinned ? "replaced" : "attached");
}

// iterate(programName, pid, maxBytes) -> {bytes, whole}: runs an iterator over that process, 0: over all, and
// gives what it wrote; `whole` is false when it was cut off at maxBytes.
Napi::Value BpfObject::Iterate(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string name = info[0].As<Napi::String>().Utf8Value();
  uint32_t pid = info[1].As<Napi::Number>().Uint32Value();
  size_t limit = static_cast<size_t>(info[2].As<Napi::Number>().Int64Value());
  bpf_program *program = Program(info);
  libbpf_log.clear();

  bpf_iter_link_info which = {};
  which.task.pid = pid;
  LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &which, .link_info_len = sizeof(which));
  std::vector<uint8_t> bytes;
  bool whole = ReadIterator(env, program, pid ? &options : nullptr, limit, bytes);
  auto result = Napi::Object::New(env);
  result.Set("bytes", Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size()));
  result.Set("whole", Napi::Boolean::New(env, whole));
  return result;
}

// iterateMap(programName, mapPin): runs an iterator over the elements of a map
Napi::Value BpfObject::IterateMap(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string pin = info[1].As<Napi::String>().Utf8Value();
  bpf_program *program = Program(info);
  Fd map(bpf_obj_get(pin.c_str()));
  if (!map)
    throw SystemError(env, "bpf_obj_get " + pin, errno);
  libbpf_log.clear();
  bpf_iter_link_info which = {};
  which.map.map_fd = static_cast<uint32_t>(map.get());
  LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &which, .link_info_len = sizeof(which));
  std::vector<uint8_t> nothing;
  ReadIterator(env, program, &options, SIZE_MAX, nothing);
  return env.Undefined();
}

// struct(name): as the object was built with it
Napi::Value BpfObject::Struct(const Napi::CallbackInfo &info) {
  return DescribeStruct(info.Env(), bpf_object__btf(Get(info)), info[0].As<Napi::String>().Utf8Value());
}

// run(programName, context) -> what the program answers; it sees the context as its argument
Napi::Value BpfObject::Run(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  auto context = info[1].As<Napi::Buffer<uint8_t>>();
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = context.Data(),
              .ctx_size_in = static_cast<__u32>(context.Length()));
  int error = bpf_prog_test_run_opts(bpf_program__fd(Program(info)), &options);
  if (error)
    throw SystemError(env, "bpf_prog_test_run_opts " + path_, -error);
  return Napi::Number::New(env, static_cast<int32_t>(options.retval));
}

Napi::Value BpfObject::Close(const Napi::CallbackInfo &info) {
  Free();
  return info.Env().Undefined();
}

Napi::Value EffectivePrograms(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string path = info[0].As<Napi::String>().Utf8Value();
  auto type = static_cast<bpf_attach_type>(info[1].As<Napi::Number>().Uint32Value());
  Fd cgroup(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup)
    throw SystemError(env, "open " + path, errno);
  uint32_t ids[64] = {}, count = 64, flags = 0;
  if (bpf_prog_query(cgroup.get(), type, BPF_F_QUERY_EFFECTIVE, &flags, ids, &count))
    throw SystemError(env, "bpf_prog_query " + path, errno);
  auto result = Napi::Array::New(env);
  for (uint32_t i = 0; i < count; i++) {
    auto entry = Napi::Object::New(env);
    entry.Set("id", ids[i]);
    entry.Set("name", ProgramName(ids[i]));
    result.Set(i, entry);
  }
  return result;
}

Napi::Value LinkProgram(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string path = info[0].As<Napi::String>().Utf8Value();
  Fd link(bpf_obj_get(path.c_str()));
  if (!link)
    throw SystemError(env, "bpf_obj_get " + path, errno);
  bpf_link_info link_info = {};
  uint32_t size = sizeof(link_info);
  if (bpf_obj_get_info_by_fd(link.get(), &link_info, &size))
    throw SystemError(env, "bpf_obj_get_info_by_fd " + path, errno);
  auto result = Napi::Object::New(env);
  result.Set("linkId", link_info.id);
  result.Set("programId", link_info.prog_id);
  result.Set("programName", ProgramName(link_info.prog_id));
  return result;
}

} // namespace sluice
