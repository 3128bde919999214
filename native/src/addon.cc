// SPDX-License-Identifier: Apache-2.0
// Registers what the other files define, and nothing else.
#include "bpf_map.h"
#include "bpf_object.h"
#include "datagrams.h"
#include "descriptors.h"
#include "handover.h"
#include "migrate.h"
#include "namespace.h"
#include "notify.h"
#include "process.h"
#include "ring.h"
#include "scanner.h"
#include "sockets.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("BpfMap", sluice::BpfMap::Init(env));
  exports.Set("BpfObject", sluice::BpfObject::Init(env));
  exports.Set("Datagrams", sluice::Datagrams::Init(env));
  exports.Set("Ring", sluice::Ring::Init(env));
  exports.Set("Scanner", sluice::Scanner::Init(env));
  exports.Set("compilePatterns", Napi::Function::New<sluice::Scanner::CompileLater>(env));
  exports.Set("ScanStream", sluice::ScanStream::Init(env));
  exports.Set("effectivePrograms", Napi::Function::New<sluice::EffectivePrograms>(env));
  exports.Set("linkProgram", Napi::Function::New<sluice::LinkProgram>(env));
  exports.Set("mapShape", Napi::Function::New<sluice::MapShape>(env));
  exports.Set("programStruct", Napi::Function::New<sluice::ProgramStruct>(env));
  exports.Set("callFormer", Napi::Function::New<sluice::CallFormer>(env));
  exports.Set("restoreFormer", Napi::Function::New<sluice::RestoreFormer>(env));
  exports.Set("waitForPrograms", Napi::Function::New<sluice::WaitForPrograms>(env));
  exports.Set("listenTcp", Napi::Function::New<sluice::ListenTcp>(env));
  exports.Set("listenUdp", Napi::Function::New<sluice::ListenUdp>(env));
  exports.Set("readFlow", Napi::Function::New<sluice::ReadFlow>(env));
  exports.Set("socketError", Napi::Function::New<sluice::SocketError>(env));
  exports.Set("resetOnClose", Napi::Function::New<sluice::ResetOnClose>(env));
  exports.Set("sendNow", Napi::Function::New<sluice::SendNow>(env));
  exports.Set("peerCredentials", Napi::Function::New<sluice::PeerCredentials>(env));
  exports.Set("disconnect", Napi::Function::New<sluice::Disconnect>(env));
  exports.Set("openNamespace", Napi::Function::New<sluice::OpenNamespace>(env));
  exports.Set("homeNamespace", Napi::Function::New<sluice::HomeNamespace>(env));
  exports.Set("socketsIn", Napi::Function::New<sluice::SocketsIn>(env));
  exports.Set("descriptorPair", Napi::Function::New<sluice::DescriptorPair>(env));
  exports.Set("sendDescriptors", Napi::Function::New<sluice::SendDescriptors>(env));
  exports.Set("DescriptorReader", sluice::DescriptorReader::Init(env));
  exports.Set("duplicateFd", Napi::Function::New<sluice::DuplicateFd>(env));
  exports.Set("closeFd", Napi::Function::New<sluice::CloseFd>(env));
  exports.Set("lockFile", Napi::Function::New<sluice::LockFile>(env));
  exports.Set("harden", Napi::Function::New<sluice::Harden>(env));
  exports.Set("raiseFileLimit", Napi::Function::New<sluice::RaiseFileLimit>(env));
  exports.Set("openProcess", Napi::Function::New<sluice::OpenProcess>(env));
  exports.Set("killProcess", Napi::Function::New<sluice::KillProcess>(env));
  exports.Set("reapProcess", Napi::Function::New<sluice::ReapProcess>(env));
  exports.Set("outliveParent", Napi::Function::New<sluice::OutliveParent>(env));
  exports.Set("memoryFile", Napi::Function::New<sluice::MemoryFile>(env));
  exports.Set("inherit", Napi::Function::New<sluice::Inherit>(env));
  exports.Set("execute", Napi::Function::New<sluice::Execute>(env));
  exports.Set("storeDescriptor", Napi::Function::New<sluice::StoreDescriptor>(env));
  exports.Set("sdNotify", Napi::Function::New<sluice::SdNotify>(env));
  return exports;
}

} // namespace

NODE_API_MODULE(sluice, Init)
