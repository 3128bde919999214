// SPDX-License-Identifier: Apache-2.0
// What it takes to put programs of one ABI in the place of another's: the layout of what is pinned, by BTF,
// and programs that call those before them.
#pragma once

#include "errors.h"

struct btf;

namespace sluice {

// {size, fields: [{name, offset, size}]} of a struct, by name; null if there is none.
Napi::Value DescribeStruct(Napi::Env env, const btf *types, const std::string &name);

// mapShape(pin) -> {type, keySize, valueSize, maxEntries, key, value}, the last two null where the map has no
// BTF
Napi::Value MapShape(const Napi::CallbackInfo &info);

// programStruct(programArrayPin, name): a struct as the program in the array knows it; null if it does not
Napi::Value ProgramStruct(const Napi::CallbackInfo &info);

// callFormer(programArrayPin, linkPin): puts the link's program into the array
Napi::Value CallFormer(const Napi::CallbackInfo &info);

// restoreFormer(programArrayPin, linkPin): the other way round; false if the array is empty
Napi::Value RestoreFormer(const Napi::CallbackInfo &info);

// waitForPrograms(): no program that runs was begun before the call
Napi::Value WaitForPrograms(const Napi::CallbackInfo &info);

} // namespace sluice
