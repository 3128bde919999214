// SPDX-License-Identifier: Apache-2.0
// What one daemon needs to hand its work to the next: processes known by descriptor, memory that is a
// descriptor, descriptors that survive execve(2), and systemd's store for them.
#pragma once

#include "errors.h"

namespace sluice {

// openProcess(pid) -> pidfd
Napi::Value OpenProcess(const Napi::CallbackInfo &info);

// killProcess(pidfd): SIGKILL; nothing when it has ended
Napi::Value KillProcess(const Napi::CallbackInfo &info);

// reapProcess(pidfd) -> false while it runs; true when it has ended, and is no zombie of ours any more
Napi::Value ReapProcess(const Napi::CallbackInfo &info);

// outliveParent(): undoes `dieWithParent` of harden
Napi::Value OutliveParent(const Napi::CallbackInfo &info);

// memoryFile(name) -> descriptor of an empty file in memory
Napi::Value MemoryFile(const Napi::CallbackInfo &info);

// inherit(fd, yes): whether programs this process becomes or starts get the descriptor
Napi::Value Inherit(const Napi::CallbackInfo &info);

// execute(file, argv, env): execve(2). Returns only by throwing.
Napi::Value Execute(const Napi::CallbackInfo &info);

// storeDescriptor(text, fd) -> whether there was a socket to tell: sd_notify(3) with a descriptor
Napi::Value StoreDescriptor(const Napi::CallbackInfo &info);

} // namespace sluice
