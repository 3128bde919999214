// SPDX-License-Identifier: Apache-2.0
#include "scanner.h"

#include "vectorscan.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <tuple>

namespace sluice {

namespace {

constexpr uint8_t kLineFeed = '\n';
// Texts are copied together up to so many bytes, which stay in the processor's cache.
constexpr size_t kTogether = 64 * 1024;
// The widest load of the library, which may begin at the last byte.
constexpr size_t kPadding = 64;
// Far beyond what an expression of bounded length and few reports for each byte come to; memory, not time, is
// bounded by it.
constexpr size_t kMaxMatches = 16 * 1024 * 1024;
// What stays allocated for matches, 512 KiB: as many as batches have that nobody made to have many.
constexpr size_t kKeptMatches = 64 * 1024;

int Collect(unsigned id, unsigned long long, unsigned long long to, unsigned, void *context) {
  auto *matches = static_cast<std::vector<Match> *>(context);
  if (matches->size() >= kMaxMatches)
    return 1;
  matches->push_back({id, static_cast<uint32_t>(to)});
  return 0;
}

Napi::Error ScanError(Napi::Env env, const char *what, hs_error_t error) {
  return Napi::Error::New(env, std::string(what) + " failed with code " + std::to_string(error));
}

std::optional<Outline> OutlineOf(const Napi::Value &given) {
  if (!given.IsObject())
    return std::nullopt;
  auto object = given.As<Napi::Object>();
  Outline outline;
  outline.digits = object.Get("digits").As<Napi::Number>().Uint32Value();
  auto segments = object.Get("segments").As<Napi::Array>();
  for (uint32_t i = 0; i < segments.Length(); i++)
    outline.segments.push_back(segments.Get(i).As<Napi::String>().Utf8Value());
  return outline;
}

Expressions ExpressionsOf(const Napi::CallbackInfo &info) {
  auto given = info[0].As<Napi::Array>();
  auto caseless = info[1].As<Napi::Array>();
  auto outlines = info[2].As<Napi::Array>();
  Expressions expressions;
  for (uint32_t i = 0; i < given.Length(); i++) {
    expressions.texts.push_back(given.Get(i).As<Napi::String>().Utf8Value());
    expressions.caseless.push_back(caseless.Get(i).ToBoolean());
    expressions.outlines.push_back(OutlineOf(outlines.Get(i)));
  }
  return expressions;
}

// Some of the expressions, as the library takes them.
struct Chosen {
  std::vector<const char *> texts;
  std::vector<unsigned> flags;
  std::vector<unsigned> ids;
};

// False, and what is wrong. Nothing is made where there is nothing to compile.
bool Compile(const Chosen &chosen, unsigned mode, Database &database, std::string &problem) {
  if (chosen.texts.empty())
    return true;
  const Vectorscan &engine = ChosenVectorscan();
  if (!engine.finds) {
    problem = "the library misses matches on this processor";
    return false;
  }
  hs_database_t *compiled = nullptr;
  hs_compile_error_t *error = nullptr;
  if (hs_compile_multi(chosen.texts.data(), chosen.flags.data(), chosen.ids.data(),
                       static_cast<unsigned>(chosen.texts.size()), mode, &engine.platform, &compiled,
                       &error) != HS_SUCCESS) {
    const bool one = error->expression >= 0;
    const unsigned id = one ? chosen.ids[static_cast<size_t>(error->expression)] : 0;
    problem = (one ? "expression " + std::to_string(id) + ": " : "") + error->message;
    hs_free_compile_error(error);
    return false;
  }
  database.reset(compiled);
  return true;
}

class Compiling : public Napi::AsyncWorker {
public:
  Compiling(Napi::Env env, Expressions expressions)
      : Napi::AsyncWorker(env, "sluice-compile"), deferred_(Napi::Promise::Deferred::New(env)),
        expressions_(std::move(expressions)) {
  }
  Napi::Promise Promise() const {
    return deferred_.Promise();
  }
  void Execute() override {
    std::string problem;
    patterns_ = CompilePatterns(expressions_, problem);
    if (!patterns_)
      SetError(problem);
  }
  void OnOK() override {
    auto *patterns = new std::unique_ptr<Patterns>(std::move(patterns_));
    deferred_.Resolve(Napi::External<std::unique_ptr<Patterns>>::New(
        Env(), patterns, [](Napi::Env, std::unique_ptr<Patterns> *unused) { delete unused; }));
  }
  void OnError(const Napi::Error &error) override {
    deferred_.Reject(error.Value());
  }

private:
  Napi::Promise::Deferred deferred_;
  Expressions expressions_;
  std::unique_ptr<Patterns> patterns_;
};

template <typename T> Napi::Value ToArray(Napi::Env env, const std::vector<T> &found) {
  static_assert(sizeof(T) % sizeof(uint32_t) == 0);
  if (found.empty())
    return env.Null();
  const size_t bytes = found.size() * sizeof(T);
  auto array = Napi::Uint32Array::New(env, bytes / sizeof(uint32_t));
  memcpy(array.Data(), found.data(), bytes);
  return array;
}

} // namespace

std::unique_ptr<Patterns> CompilePatterns(const Expressions &expressions, std::string &problem) {
  auto patterns = std::make_unique<Patterns>();
  Chosen all, any, outlined;
  for (size_t i = 0; i < expressions.texts.size(); i++) {
    const std::optional<Outline> &outline = expressions.outlines[i];
    const unsigned flags = HS_FLAG_DOTALL | (expressions.caseless[i] ? HS_FLAG_CASELESS : 0);
    for (Chosen *chosen : {&all, outline ? &outlined : &any}) {
      chosen->texts.push_back(expressions.texts[i].c_str());
      chosen->flags.push_back(flags);
      chosen->ids.push_back(static_cast<unsigned>(i));
    }
    if (outline)
      patterns->outlines.Add(*outline);
  }
  if (!Compile(any, HS_MODE_BLOCK, patterns->any, problem) ||
      !Compile(outlined, HS_MODE_BLOCK, patterns->outlined, problem) ||
      !Compile(all, HS_MODE_STREAM, patterns->stream, problem))
    return nullptr;
  return patterns;
}

Napi::Function Scanner::Init(Napi::Env env) {
  return DefineClass(env, "Scanner",
                     {
                         InstanceMethod<&Scanner::Scan>("scan"),
                         InstanceAccessor<&Scanner::Size>("size"),
                     });
}

// new Scanner(expressions, caseless, outlines): three arrays of one length; or new Scanner(patterns).
Scanner::Scanner(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Scanner>(info) {
  Napi::Env env = info.Env();
  std::unique_ptr<Patterns> patterns;
  if (info[0].IsExternal()) {
    // Those that were taken once are none any more.
    patterns = std::move(*info[0].As<Napi::External<std::unique_ptr<Patterns>>>().Data());
    if (!patterns)
      throw Napi::Error::New(env, "patterns that a scanner has already");
  } else {
    std::string problem;
    patterns = CompilePatterns(ExpressionsOf(info), problem);
    if (!patterns)
      throw Napi::Error::New(env, problem);
  }
  any_.database = std::move(patterns->any);
  outlined_.database = std::move(patterns->outlined);
  stream_ = std::move(patterns->stream);
  outlines_ = std::move(patterns->outlines);
  for (const hs_database_t *database : {any_.database.get(), outlined_.database.get(), stream_.get()}) {
    if (database)
      MakeRoom(env, database);
  }
  size_ = static_cast<int64_t>(Memory());
  Napi::MemoryManagement::AdjustExternalMemory(env, size_);
}

Scanner::~Scanner() {
  Napi::MemoryManagement::AdjustExternalMemory(Env(), -size_);
}

// The room to scan in grows to what all need.
void Scanner::MakeRoom(Napi::Env env, const hs_database_t *database) {
  hs_scratch_t *scratch = scratch_.release();
  const hs_error_t error = hs_alloc_scratch(database, &scratch);
  scratch_.reset(scratch);
  if (error != HS_SUCCESS)
    throw ScanError(env, "hs_alloc_scratch", error);
}

Napi::Value Scanner::CompileLater(const Napi::CallbackInfo &info) {
  auto *compiling = new Compiling(info.Env(), ExpressionsOf(info));
  Napi::Promise promise = compiling->Promise();
  compiling->Queue();
  return promise;
}

// What of memory the forms of the expressions and the room to scan in take.
size_t Scanner::Memory() const {
  size_t total = 0;
  size_t size = 0;
  for (const hs_database_t *database : {any_.database.get(), outlined_.database.get(), stream_.get()}) {
    if (database && hs_database_size(database, &size) == HS_SUCCESS)
      total += size;
  }
  if (hs_scratch_size(scratch_.get(), &size) == HS_SUCCESS)
    total += size;
  return total;
}

Napi::Value Scanner::Size(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), static_cast<double>(size_));
}

// scan(bytes, texts, count, wanted): [text, expression, end in bytes]… or null. texts: start, end and column
// of each; wanted: whether texts of a column are to be scanned, by column.
Napi::Value Scanner::Scan(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::vector<Found> found;
  Forget();
  try {
    ScanAll(env, info, found);
  } catch (...) {
    Forget();
    throw;
  }
  // Those of one group come after those of the other, by the batch.
  auto before = [](const Found &a, const Found &b) {
    return std::tie(a.text, a.end, a.id) < std::tie(b.text, b.end, b.id);
  };
  if (!std::is_sorted(found.begin(), found.end(), before))
    std::sort(found.begin(), found.end(), before);
  return ToArray(env, found);
}

void Scanner::ScanAll(Napi::Env env, const Napi::CallbackInfo &info, std::vector<Found> &found) {
  auto bytes = info[0].As<Napi::Uint8Array>();
  auto texts = info[1].As<Napi::Uint32Array>();
  uint32_t count = info[2].As<Napi::Number>().Uint32Value();
  auto wanted = info[3].As<Napi::Uint8Array>();
  if (texts.ElementLength() / 3 < count)
    throw Napi::RangeError::New(env, "fewer texts than announced");
  const uint8_t *data = bytes.Data();
  const size_t length = bytes.ElementLength();
  const uint8_t *columns = wanted.Data();
  const size_t known = wanted.ElementLength();
  const bool has_any = any_.database != nullptr;
  const bool has_outlines = !outlines_.empty();
  const uint32_t *text = texts.Data();
  for (uint32_t index = 0; index < count; index++, text += 3) {
    if (text[2] >= known || !columns[text[2]])
      continue;
    if (text[0] > text[1] || text[1] > length)
      throw Napi::RangeError::New(env, "a text out of bounds");
    const uint8_t *from = data + text[0];
    const size_t size = text[1] - text[0];
    const size_t readable = length - text[0];
    if (has_any) {
      any_.copies.Put(from, size, readable);
      any_.copies.Keep(size, {index, 0, text[0]});
      if (any_.copies.size() >= kTogether)
        ScanTexts(env, any_, found);
    }
    if (has_outlines && outlines_.MayHold(from, size, readable)) {
      outlined_.copies.Put(from, size, readable);
      outlined_.copies.Keep(size, {index, 0, text[0]});
      if (outlined_.copies.size() >= kTogether)
        ScanTexts(env, outlined_, found);
    }
  }
  for (Group *group : {&any_, &outlined_}) {
    if (group->copies.size() > 0)
      ScanTexts(env, *group, found);
  }
}

void Scanner::Forget() {
  any_.copies.Forget();
  outlined_.copies.Forget();
  // Room for many matches is not kept for the next, who will hardly need it.
  if (matches_.capacity() > kKeptMatches)
    std::vector<Match>().swap(matches_);
}

void Copies::Forget() {
  used_ = 0;
  texts_.clear();
}

void Copies::Put(const uint8_t *from, size_t length, size_t readable) {
  const size_t needed = used_ + length + 2 + kPadding;
  if (bytes_.size() < needed)
    bytes_.resize(std::max(needed, kTogether + kTogether / 2));
  if (used_ == 0)
    bytes_[used_++] = kLineFeed;
  uint8_t *to = bytes_.data() + used_;
  // Most are short, and a call for each would take longer than the copying.
  if (length <= 32 && readable >= 32) {
    memcpy(to, from, 16);
    memcpy(to + 16, from + 16, 16);
  } else if (length > 0) {
    memcpy(to, from, length);
  }
}

void Copies::Keep(size_t length, Text text) {
  text.start = static_cast<uint32_t>(used_);
  texts_.push_back(text);
  used_ += length;
  bytes_[used_++] = kLineFeed;
}

// Scans what was copied together, and forgets it.
void Scanner::ScanTexts(Napi::Env env, Group &group, std::vector<Found> &found) {
  matches_.clear();
  Copies &copies = group.copies;
  hs_error_t error =
      ChosenVectorscan().scan(group.database.get(), copies.bytes(), static_cast<unsigned>(copies.size()), 0,
                              scratch_.get(), Collect, &matches_);
  if (error != HS_SUCCESS)
    throw ScanError(env, "hs_scan", error);
  SortMatches();
  // All texts of a call together, as one: what they are found to hold is told at once.
  if (found.size() + matches_.size() > kMaxMatches)
    throw ScanError(env, "hs_scan", HS_SCAN_TERMINATED);
  const std::vector<Text> &texts = copies.texts();
  size_t at = 0;
  for (const Match &match : matches_) {
    // The line feed behind a text still belongs to it.
    while (at + 1 < texts.size() && match.end > texts[at + 1].start)
      at++;
    const Text &text = texts[at];
    found.push_back({text.index, match.id, match.end - text.start + text.origin});
  }
  copies.Forget();
}

// The library tells them in an order of its own.
void Scanner::SortMatches() {
  auto before = [](const Match &a, const Match &b) { return a.end != b.end ? a.end < b.end : a.id < b.id; };
  auto same = [](const Match &a, const Match &b) { return a.end == b.end && a.id == b.id; };
  if (!std::is_sorted(matches_.begin(), matches_.end(), before))
    std::sort(matches_.begin(), matches_.end(), before);
  matches_.erase(std::unique(matches_.begin(), matches_.end(), same), matches_.end());
}

Napi::Function ScanStream::Init(Napi::Env env) {
  return DefineClass(env, "ScanStream",
                     {
                         InstanceMethod<&ScanStream::Push>("push"),
                         InstanceMethod<&ScanStream::End>("end"),
                     });
}

// new ScanStream(scanner)
ScanStream::ScanStream(const Napi::CallbackInfo &info) : Napi::ObjectWrap<ScanStream>(info) {
  Napi::Env env = info.Env();
  auto scanner = info[0].As<Napi::Object>();
  scanner_ = Scanner::Unwrap(scanner);
  hs_stream_t *stream = nullptr;
  hs_error_t error = hs_open_stream(scanner_->stream_.get(), 0, &stream);
  if (error != HS_SUCCESS)
    throw ScanError(env, "hs_open_stream", error);
  stream_.reset(stream);
  keeper_ = Napi::Persistent(scanner);
  Feed(env, &kLineFeed, 1);
  // Last: of what is not made there is nothing to take back.
  if (hs_stream_size(scanner_->stream_.get(), &size_) == HS_SUCCESS)
    Napi::MemoryManagement::AdjustExternalMemory(env, static_cast<int64_t>(size_));
}

ScanStream::~ScanStream() {
  if (stream_)
    Napi::MemoryManagement::AdjustExternalMemory(Env(), -static_cast<int64_t>(size_));
}

// Leaves in the scanner what ends in these bytes.
void ScanStream::Feed(Napi::Env env, const uint8_t *bytes, size_t length) {
  auto &piece = scanner_->piece_;
  scanner_->Forget();
  auto &matches = scanner_->matches_;
  matches.clear();
  if (!stream_)
    throw Napi::Error::New(env, "a stream that has ended");
  // In pieces, as it is copied.
  for (size_t at = 0; at < length; at += kTogether) {
    const size_t count = std::min(kTogether, length - at);
    if (piece.size() < count + kPadding)
      piece.resize(count + kPadding);
    memcpy(piece.data(), bytes + at, count);
    hs_error_t error = ChosenVectorscan().scan_stream(
        stream_.get(), reinterpret_cast<const char *>(piece.data()), static_cast<unsigned>(count), 0,
        scanner_->scratch_.get(), Collect, &matches);
    if (error != HS_SUCCESS)
      throw ScanError(env, "hs_scan_stream", error);
  }
  // Ends are counted from the beginning of the stream, and kept in 32 bits; the difference is right beyond
  // them, too.
  for (Match &match : matches)
    match.end -= static_cast<uint32_t>(total_);
  scanner_->SortMatches();
  total_ += length;
}

Napi::Value ScanStream::Take(Napi::Env env) {
  return ToArray(env, scanner_->matches_);
}

// push(chunk): [expression, end in the chunk]… or null
Napi::Value ScanStream::Push(const Napi::CallbackInfo &info) {
  auto chunk = info[0].As<Napi::Uint8Array>();
  Feed(info.Env(), chunk.Data(), chunk.ElementLength());
  return Take(info.Env());
}

// end(): the same for the line feed behind the text, whose end is 1
Napi::Value ScanStream::End(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Feed(env, &kLineFeed, 1);
  Napi::Value found = Take(env);
  stream_.reset();
  Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<int64_t>(size_));
  return found;
}

} // namespace sluice
