// SPDX-License-Identifier: Apache-2.0
#include "scanner.h"

#include <algorithm>
#include <cstring>

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

Napi::Value ToArray(Napi::Env env, const std::vector<uint32_t> &numbers) {
  if (numbers.empty())
    return env.Null();
  auto array = Napi::Uint32Array::New(env, numbers.size());
  memcpy(array.Data(), numbers.data(), numbers.size() * sizeof(uint32_t));
  return array;
}

} // namespace

Napi::Function Scanner::Init(Napi::Env env) {
  return DefineClass(env, "Scanner",
                     {
                         InstanceMethod<&Scanner::Scan>("scan"),
                         InstanceAccessor<&Scanner::Size>("size"),
                     });
}

// new Scanner(expressions, caseless): two arrays of one length. An expression's number is its id.
Scanner::Scanner(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Scanner>(info) {
  Napi::Env env = info.Env();
  auto given = info[0].As<Napi::Array>();
  auto caseless = info[1].As<Napi::Array>();
  std::vector<std::string> texts;
  std::vector<unsigned> flags;
  for (uint32_t i = 0; i < given.Length(); i++) {
    texts.push_back(given.Get(i).As<Napi::String>().Utf8Value());
    bool either = caseless.Get(i).ToBoolean();
    flags.push_back(HS_FLAG_DOTALL | (either ? HS_FLAG_CASELESS : 0));
  }
  std::vector<const char *> expressions;
  for (const auto &text : texts)
    expressions.push_back(text.c_str());
  Compile(env, expressions, flags);
  size_ = static_cast<int64_t>(Memory());
  Napi::MemoryManagement::AdjustExternalMemory(env, size_);
}

Scanner::~Scanner() {
  Napi::MemoryManagement::AdjustExternalMemory(Env(), -size_);
}

void Scanner::Compile(Napi::Env env, const std::vector<const char *> &expressions,
                      const std::vector<unsigned> &flags) {
  std::vector<unsigned> ids;
  for (unsigned id = 0; id < expressions.size(); id++)
    ids.push_back(id);
  for (unsigned mode : {HS_MODE_BLOCK, HS_MODE_STREAM}) {
    hs_database_t *database = nullptr;
    hs_compile_error_t *problem = nullptr;
    hs_error_t error =
        hs_compile_multi(expressions.data(), flags.data(), ids.data(), static_cast<unsigned>(ids.size()),
                         mode, nullptr, &database, &problem);
    if (error != HS_SUCCESS) {
      std::string message = "expression " + std::to_string(problem->expression) + ": " + problem->message;
      hs_free_compile_error(problem);
      throw Napi::Error::New(env, message);
    }
    (mode == HS_MODE_BLOCK ? block_ : stream_).reset(database);
    // It grows to what both need.
    hs_scratch_t *scratch = scratch_.release();
    error = hs_alloc_scratch(database, &scratch);
    scratch_.reset(scratch);
    if (error != HS_SUCCESS)
      throw ScanError(env, "hs_alloc_scratch", error);
  }
}

// What of memory both forms of the expressions and the room to scan in take.
size_t Scanner::Memory() const {
  size_t total = 0;
  size_t size = 0;
  for (const hs_database_t *database : {block_.get(), stream_.get()}) {
    if (hs_database_size(database, &size) == HS_SUCCESS)
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
  std::vector<uint32_t> found;
  const uint32_t *text = texts.Data();
  Forget();
  for (uint32_t index = 0; index < count; index++, text += 3) {
    if (text[2] >= known || !columns[text[2]])
      continue;
    if (text[0] > text[1] || text[1] > length)
      throw Napi::RangeError::New(env, "a text out of bounds");
    AddText(data + text[0], text[1] - text[0], {index, 0, text[0]});
    if (copied_ >= kTogether)
      ScanTexts(env, found);
  }
  if (copied_ > 0)
    ScanTexts(env, found);
  return ToArray(env, found);
}

void Scanner::Forget() {
  copied_ = 0;
  texts_.clear();
}

void Scanner::AddText(const uint8_t *bytes, size_t length, Text text) {
  const size_t needed = copied_ + length + 2 + kPadding;
  if (copy_.size() < needed)
    copy_.resize(std::max(needed, kTogether + kTogether / 2));
  if (copied_ == 0)
    copy_[copied_++] = kLineFeed;
  text.start = static_cast<uint32_t>(copied_);
  texts_.push_back(text);
  if (length > 0)
    memcpy(copy_.data() + copied_, bytes, length);
  copied_ += length;
  copy_[copied_++] = kLineFeed;
}

// Scans what was copied together, and forgets it.
void Scanner::ScanTexts(Napi::Env env, std::vector<uint32_t> &found) {
  matches_.clear();
  hs_error_t error = hs_scan(block_.get(), reinterpret_cast<const char *>(copy_.data()),
                             static_cast<unsigned>(copied_), 0, scratch_.get(), Collect, &matches_);
  if (error != HS_SUCCESS) {
    Forget();
    throw ScanError(env, "hs_scan", error);
  }
  SortMatches();
  // All texts of a call together, as one: what they are found to hold is told at once.
  if (found.size() / 3 + matches_.size() > kMaxMatches) {
    Forget();
    throw ScanError(env, "hs_scan", HS_SCAN_TERMINATED);
  }
  size_t at = 0;
  for (const Match &match : matches_) {
    // The line feed behind a text still belongs to it.
    while (at + 1 < texts_.size() && match.end > texts_[at + 1].start)
      at++;
    const Text &text = texts_[at];
    found.insert(found.end(), {text.index, match.id, match.end - text.start + text.origin});
  }
  Forget();
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
  hs_error_t error = hs_open_stream(scanner_->stream_.get(), 0, &stream_);
  if (error != HS_SUCCESS)
    throw ScanError(env, "hs_open_stream", error);
  keeper_ = Napi::Persistent(scanner);
  if (hs_stream_size(scanner_->stream_.get(), &size_) == HS_SUCCESS)
    Napi::MemoryManagement::AdjustExternalMemory(env, static_cast<int64_t>(size_));
  Feed(env, &kLineFeed, 1);
}

ScanStream::~ScanStream() {
  if (!stream_)
    return;
  hs_close_stream(stream_, nullptr, nullptr, nullptr);
  Napi::MemoryManagement::AdjustExternalMemory(Env(), -static_cast<int64_t>(size_));
}

// Leaves in the scanner what ends in these bytes.
void ScanStream::Feed(Napi::Env env, const uint8_t *bytes, size_t length) {
  auto &copy = scanner_->copy_;
  scanner_->Forget();
  auto &matches = scanner_->matches_;
  matches.clear();
  if (!stream_)
    throw Napi::Error::New(env, "a stream that has ended");
  // In pieces, as it is copied.
  for (size_t at = 0; at < length; at += kTogether) {
    const size_t piece = std::min(kTogether, length - at);
    if (copy.size() < piece + kPadding)
      copy.resize(piece + kPadding);
    memcpy(copy.data(), bytes + at, piece);
    hs_error_t error =
        hs_scan_stream(stream_, reinterpret_cast<const char *>(copy.data()), static_cast<unsigned>(piece), 0,
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
  std::vector<uint32_t> found;
  for (const Match &match : scanner_->matches_) {
    found.push_back(match.id);
    found.push_back(match.end);
  }
  return ToArray(env, found);
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
  hs_close_stream(stream_, nullptr, nullptr, nullptr);
  stream_ = nullptr;
  Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<int64_t>(size_));
  return found;
}

} // namespace sluice
