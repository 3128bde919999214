// SPDX-License-Identifier: Apache-2.0
// Looks for many expressions at once in bytes, by Vectorscan: in a batch of texts, or in one text as it
// comes. Tells where matches end, never what they are; all that end somewhere are told.
//
// Before each text and behind it the scanner sees a line feed, and no text sees another's bytes. Texts are
// copied together before they are scanned: one call for thousands of short ones, and room behind the last
// byte, beyond which some versions of the library read.
#pragma once

#include "errors.h"

#include <hs.h>
#include <memory>
#include <vector>

namespace sluice {

struct DatabaseFree {
  void operator()(hs_database_t *database) const {
    hs_free_database(database);
  }
};
using Database = std::unique_ptr<hs_database_t, DatabaseFree>;

struct ScratchFree {
  void operator()(hs_scratch_t *scratch) const {
    hs_free_scratch(scratch);
  }
};

struct Match {
  uint32_t id;
  uint32_t end;
};

// A text that was copied: its number, and where it begins in the copy and in the caller's bytes.
struct Text {
  uint32_t index;
  uint32_t start;
  uint32_t origin;
};

class Scanner : public Napi::ObjectWrap<Scanner> {
public:
  static Napi::Function Init(Napi::Env env);
  explicit Scanner(const Napi::CallbackInfo &info);
  ~Scanner() override;

private:
  friend class ScanStream;
  void Compile(Napi::Env env, const std::vector<const char *> &expressions,
               const std::vector<unsigned> &flags);
  void AddText(const uint8_t *bytes, size_t length, Text text);
  void Forget();
  void ScanTexts(Napi::Env env, std::vector<uint32_t> &found);
  void SortMatches();
  Napi::Value Scan(const Napi::CallbackInfo &info);
  size_t Memory() const;
  Napi::Value Size(const Napi::CallbackInfo &info);

  Database block_;
  Database stream_;
  std::unique_ptr<hs_scratch_t, ScratchFree> scratch_;
  int64_t size_ = 0;
  // What is scanned: so many bytes, and always room behind them.
  std::vector<uint8_t> copy_;
  size_t copied_ = 0;
  std::vector<Text> texts_;
  std::vector<Match> matches_;
};

// Of a scanner, which it keeps alive.
class ScanStream : public Napi::ObjectWrap<ScanStream> {
public:
  static Napi::Function Init(Napi::Env env);
  explicit ScanStream(const Napi::CallbackInfo &info);
  ~ScanStream() override;

private:
  void Feed(Napi::Env env, const uint8_t *bytes, size_t length);
  Napi::Value Take(Napi::Env env);
  Napi::Value Push(const Napi::CallbackInfo &info);
  Napi::Value End(const Napi::CallbackInfo &info);

  Napi::ObjectReference keeper_;
  Scanner *scanner_ = nullptr;
  hs_stream_t *stream_ = nullptr;
  size_t size_ = 0;
  uint64_t total_ = 0;
};

} // namespace sluice
