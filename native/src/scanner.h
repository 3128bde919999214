// SPDX-License-Identifier: Apache-2.0
// Looks for many expressions at once in bytes, by Vectorscan: in a batch of texts, or in one text as it
// comes. Tells where matches end, never what they are; all that end somewhere are told.
//
// Before each text and behind it the scanner sees a line feed, and no text sees another's bytes. Texts are
// copied together before they are scanned: one call for thousands of short ones, and room behind the last
// byte, beyond which some versions of the library read.
//
// Expressions of many digits are the dear ones, as there is no literal to look for. Those that have an
// outline (outline.h) are looked for by themselves in a batch, in texts that may hold one by it.
#pragma once

#include "errors.h"
#include "outline.h"

#include <hs.h>
#include <memory>
#include <optional>
#include <string>
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

struct StreamClose {
  void operator()(hs_stream_t *stream) const {
    hs_close_stream(stream, nullptr, nullptr, nullptr);
  }
};

struct Match {
  uint32_t id;
  uint32_t end;
};

// What is told of a match: three numbers for the caller.
struct Found {
  uint32_t text;
  uint32_t id;
  uint32_t end;
};

// A text that was copied: its number, and where it begins in the copy and in the caller's bytes.
struct Text {
  uint32_t index;
  uint32_t start;
  uint32_t origin;
};

// Texts that were copied together, a line feed before each and behind it, with room to read behind them.
class Copies {
public:
  // Puts a text behind the others, where it does not count yet. `readable`: as many bytes there are from
  // `from` on.
  void Put(const uint8_t *from, size_t length, size_t readable);
  // The text that was put last counts.
  void Keep(size_t length, Text text);
  void Forget();
  size_t size() const {
    return used_;
  }
  const char *bytes() const {
    return reinterpret_cast<const char *>(bytes_.data());
  }
  const std::vector<Text> &texts() const {
    return texts_;
  }

private:
  std::vector<uint8_t> bytes_;
  size_t used_ = 0;
  std::vector<Text> texts_;
};

// Expressions that are looked for in a batch together, and the texts they are looked for in.
struct Group {
  Database database;
  Copies copies;
};

// What is looked for. An expression's number is its id.
struct Expressions {
  std::vector<std::string> texts;
  std::vector<bool> caseless;
  std::vector<std::optional<Outline>> outlines;
};

// The same, compiled. Made on any thread.
struct Patterns {
  Database any;
  // Those that have an outline.
  Database outlined;
  Database stream;
  Outlines outlines;
};

// Null, and what is wrong.
std::unique_ptr<Patterns> CompilePatterns(const Expressions &expressions, std::string &problem);

class Scanner : public Napi::ObjectWrap<Scanner> {
public:
  static Napi::Function Init(Napi::Env env);
  // compilePatterns(expressions, caseless, outlines): a promise of what a Scanner is made of, compiled beside
  // the event loop.
  static Napi::Value CompileLater(const Napi::CallbackInfo &info);
  explicit Scanner(const Napi::CallbackInfo &info);
  ~Scanner() override;

private:
  friend class ScanStream;
  void MakeRoom(Napi::Env env, const hs_database_t *database);
  void Forget();
  void ScanTexts(Napi::Env env, Group &group, std::vector<Found> &found);
  void ScanAll(Napi::Env env, const Napi::CallbackInfo &info, std::vector<Found> &found);
  void SortMatches();
  Napi::Value Scan(const Napi::CallbackInfo &info);
  size_t Memory() const;
  Napi::Value Size(const Napi::CallbackInfo &info);

  Group any_;
  Group outlined_;
  Outlines outlines_;
  Database stream_;
  std::unique_ptr<hs_scratch_t, ScratchFree> scratch_;
  int64_t size_ = 0;
  // What of a stream is scanned, and room behind it.
  std::vector<uint8_t> piece_;
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
  std::unique_ptr<hs_stream_t, StreamClose> stream_;
  size_t size_ = 0;
  uint64_t total_ = 0;
};

} // namespace sluice
