// SPDX-License-Identifier: Apache-2.0
// Sockets: the daemon's listeners and what a worker asks of an accepted one.
#pragma once

#include "errors.h"

namespace sluice {

// listenTcp(ip, port, backlog, netns?) -> {fd, port}: SO_REUSEPORT, so that workers share a port and each has
// a queue. `netns` is the descriptor of another network namespace to listen in, also before its loopback is
// up.
Napi::Value ListenTcp(const Napi::CallbackInfo &info);

// listenUdp(ip, port, netns?) -> {fd, port}: not shared, and told the mark of each datagram.
Napi::Value ListenUdp(const Napi::CallbackInfo &info);

// readFlow(fd, into: Buffer(sizeof struct sluice_flow)) -> boolean: false, if no agent made the connection
Napi::Value ReadFlow(const Napi::CallbackInfo &info);

// socketError(fd) -> Error | null: what the kernel has to tell of the socket (SO_ERROR), which it tells once.
Napi::Value SocketError(const Napi::CallbackInfo &info);

// resetOnClose(fd) -> boolean: whether its connection will end by RST when the descriptor is closed
// (SO_LINGER of no time).
Napi::Value ResetOnClose(const Napi::CallbackInfo &info);

// sendNow(fd, bytes) -> number: how many of the bytes the kernel took at once; 0 as well where it took none
// for an error.
Napi::Value SendNow(const Napi::CallbackInfo &info);

// peerCredentials(fd) -> {pid, uid}: of who has connected a Unix socket (SO_PEERCRED).
Napi::Value PeerCredentials(const Napi::CallbackInfo &info);

// disconnect(pid, fd, cookie) -> "disconnected" | "shut" | "gone": ends the connection of another process's
// socket, for all who hold it. The peer of a TCP connection gets a reset. `shut`: a thread is in the middle
// of connecting or accepting, so it was only shut down. `gone`: the descriptor is not that socket any more.
Napi::Value Disconnect(const Napi::CallbackInfo &info);

// duplicateFd(fd) -> another descriptor of the same file
Napi::Value DuplicateFd(const Napi::CallbackInfo &info);

// closeFd(fd)
Napi::Value CloseFd(const Napi::CallbackInfo &info);

} // namespace sluice
