// SPDX-License-Identifier: Apache-2.0
// Loading and attaching, in the steps of spec → loaded object → links. Maps are pinned by name, links where
// the caller says; closing an object leaves both in force.
#pragma once

#include "errors.h"

struct bpf_object;
struct bpf_program;

namespace sluice {

class BpfObject : public Napi::ObjectWrap<BpfObject> {
public:
  static Napi::Function Init(Napi::Env env);
  explicit BpfObject(const Napi::CallbackInfo &info);
  ~BpfObject() override;

private:
  Napi::Value Load(const Napi::CallbackInfo &info);
  Napi::Value Programs(const Napi::CallbackInfo &info);
  Napi::Value Attach(const Napi::CallbackInfo &info);
  Napi::Value Iterate(const Napi::CallbackInfo &info);
  Napi::Value IterateMap(const Napi::CallbackInfo &info);
  Napi::Value Struct(const Napi::CallbackInfo &info);
  Napi::Value Run(const Napi::CallbackInfo &info);
  Napi::Value Close(const Napi::CallbackInfo &info);
  void Free();
  bpf_object *Get(const Napi::CallbackInfo &info);
  bpf_program *Program(const Napi::CallbackInfo &info);
  void Reuse(Napi::Env env, const Napi::Object &pins);

  bpf_object *object_ = nullptr;
  std::string path_;
};

// effectivePrograms(cgroupPath, attachType) -> [{id, name}]: what the kernel runs there, inherited included.
Napi::Value EffectivePrograms(const Napi::CallbackInfo &info);

// linkProgram(pinPath) -> {linkId, programId, programName}
Napi::Value LinkProgram(const Napi::CallbackInfo &info);

} // namespace sluice
