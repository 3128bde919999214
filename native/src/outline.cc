// SPDX-License-Identifier: Apache-2.0
#include "outline.h"

#include <algorithm>
#include <cstring>

#ifdef __x86_64__
#include <immintrin.h>
// Any processor the library of the scanner runs on has these.
#define FAST __attribute__((target("popcnt,sse4.2")))
#else
#define FAST
#endif

namespace sluice {

namespace {

constexpr size_t kBlock = 64;
constexpr size_t kSegmentMax = 31;
// What begins behind these is whole in the next block.
constexpr size_t kStep = kBlock - kSegmentMax + 1;
// Both line feeds are in the block of such a text.
constexpr size_t kShort = kBlock - 2;

// Runs of digits that begin here, and then bytes.
enum Kind : uint8_t { kDigit, kDigits2, kDigits3, kDigits4, kJoint, kSign, kNoWord, kNoWordNorPoint, kKinds };
constexpr size_t kRunMax = 4;

// kKinds for any byte; runs of digits are none of these.
Kind KindOf(char letter) {
  switch (letter) {
  case 'j':
    return kJoint;
  case 's':
    return kSign;
  case 'w':
    return kNoWord;
  case 'v':
    return kNoWordNorPoint;
  default:
    return kKinds;
  }
}

inline uint64_t Lowest(size_t count) {
  return count >= kBlock ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

#ifdef __x86_64__
FAST inline uint64_t Bits(__m128i compared, size_t at) {
  return static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(compared))) << at;
}

FAST inline __m128i Within(__m128i bytes, char first, char count) {
  const __m128i from = _mm_sub_epi8(bytes, _mm_set1_epi8(first));
  return _mm_cmpeq_epi8(_mm_min_epu8(from, _mm_set1_epi8(static_cast<char>(count - 1))), from);
}

FAST inline __m128i Load(const uint8_t *bytes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i *>(bytes));
}

FAST inline uint64_t DigitsOf(const uint8_t *bytes, size_t count) {
  uint64_t digits = 0;
  for (size_t at = 0; at < count; at += 16)
    digits |= Bits(Within(Load(bytes + at), '0', 10), at);
  return digits & Lowest(count);
}
#else
uint64_t DigitsOf(const uint8_t *bytes, size_t count) {
  uint64_t digits = 0;
  for (size_t at = 0; at < count; at++)
    digits |= static_cast<uint64_t>(bytes[at] >= '0' && bytes[at] <= '9') << at;
  return digits;
}
#endif

FAST inline size_t Count(uint64_t bits) {
  return static_cast<size_t>(__builtin_popcountll(bits));
}

} // namespace

struct Outlines::Kinds {
  uint64_t by[kKinds];
};

// Of `count` bytes, of which 64 can be read.
FAST Outlines::Kinds Outlines::KindsOf(const uint8_t *bytes, size_t count, uint64_t digits) {
  uint64_t joints = 0, signs = 0, letters = 0, points = 0;
#ifdef __x86_64__
  for (size_t at = 0; at < count; at += 16) {
    const __m128i sixteen = Load(bytes + at);
    const __m128i joint = _mm_or_si128(_mm_cmpeq_epi8(sixteen, _mm_set1_epi8(' ')),
                                       _mm_cmpeq_epi8(sixteen, _mm_set1_epi8('-')));
    joints |= Bits(joint, at);
    signs |= Bits(Within(sixteen, ' ', 16), at);
    letters |= Bits(Within(_mm_or_si128(sixteen, _mm_set1_epi8(0x20)), 'a', 26), at);
    points |= Bits(_mm_cmpeq_epi8(sixteen, _mm_set1_epi8('.')), at);
  }
#else
  for (size_t at = 0; at < count; at++) {
    const uint8_t byte = bytes[at];
    const uint8_t lower = byte | 0x20;
    joints |= static_cast<uint64_t>(byte == ' ' || byte == '-') << at;
    signs |= static_cast<uint64_t>(byte >= ' ' && byte <= '/') << at;
    letters |= static_cast<uint64_t>(lower >= 'a' && lower <= 'z') << at;
    points |= static_cast<uint64_t>(byte == '.') << at;
  }
#endif
  const uint64_t there = Lowest(count);
  Kinds kinds;
  kinds.by[kDigit] = digits;
  kinds.by[kDigits2] = digits & digits >> 1;
  kinds.by[kDigits3] = kinds.by[kDigits2] & digits >> 2;
  kinds.by[kDigits4] = kinds.by[kDigits2] & kinds.by[kDigits2] >> 2;
  kinds.by[kJoint] = joints & there;
  kinds.by[kSign] = signs & there;
  kinds.by[kNoWord] = ~(digits | letters) & there;
  kinds.by[kNoWordNorPoint] = kinds.by[kNoWord] & ~points;
  return kinds;
}

void Outlines::Add(const Outline &outline) {
  least_digits_ = std::min(least_digits_, outline.digits);
  const auto first = static_cast<uint32_t>(segments_.size());
  for (const std::string &segment : outline.segments) {
    const auto from = static_cast<uint32_t>(conditions_.size());
    Conditions(segment);
    least_in_segment_ =
        std::min(least_in_segment_, static_cast<size_t>(std::count(segment.begin(), segment.end(), 'd')));
    // What fails most often comes first: long runs of digits.
    std::stable_sort(conditions_.begin() + from, conditions_.end(), [](Condition a, Condition b) {
      const auto rank = [](uint8_t kind) { return kind <= kDigits4 ? kDigits4 - kind : kind; };
      return rank(a.kind) < rank(b.kind);
    });
    segments_.push_back({from, static_cast<uint32_t>(conditions_.size())});
  }
  expressions_.push_back({first, static_cast<uint32_t>(segments_.size())});
  seen_.resize(segments_.size());
}

void Outlines::Conditions(const std::string &segment) {
  const size_t length = std::min(segment.size(), kSegmentMax);
  for (size_t at = 0; at < length;) {
    size_t run = 0;
    while (at + run < length && segment[at + run] == 'd')
      run++;
    for (size_t done = 0; done < run;) {
      const size_t part = std::min(run - done, kRunMax);
      conditions_.push_back({static_cast<uint8_t>(kDigit + part - 1), static_cast<uint8_t>(at + done)});
      done += part;
    }
    at += run;
    if (at == length)
      break;
    const Kind kind = KindOf(segment[at]);
    if (kind != kKinds)
      conditions_.push_back({kind, static_cast<uint8_t>(at)});
    at++;
  }
}

inline bool Outlines::Holds(const Range &segment, const Kinds &kinds) const {
  uint64_t begins = ~uint64_t{0};
  for (uint32_t i = segment.from; i < segment.to; i++) {
    begins &= kinds.by[conditions_[i].kind] >> conditions_[i].at;
    if (begins == 0)
      return false;
  }
  return true;
}

// Whether all segments of one of the expressions are there.
bool Outlines::HoldsAll(const Kinds &kinds) const {
  for (const Range &expression : expressions_) {
    uint32_t segment = expression.from;
    while (segment < expression.to && Holds(segments_[segment], kinds))
      segment++;
    if (segment == expression.to)
      return true;
  }
  return false;
}

FAST bool Outlines::MayHold(const uint8_t *text, size_t length, size_t readable) {
  if (length < least_digits_)
    return false;
  if (length > kShort)
    return MayHoldLong(text, length);
  uint8_t copy[kBlock];
  if (readable < kBlock) {
    memcpy(copy, text, length);
    text = copy;
  }
  const uint64_t digits = DigitsOf(text, length);
  if (Count(digits) < least_digits_)
    return false;
  Kinds kinds = KindsOf(text, length, digits);
  for (uint64_t &kind : kinds.by)
    kind <<= 1;
  const uint64_t around = 1 | uint64_t{1} << (length + 1);
  kinds.by[kNoWord] |= around;
  kinds.by[kNoWordNorPoint] |= around;
  return HoldsAll(kinds);
}

// Block by block, which overlap by what a segment may have. The first and the last have a line feed more.
FAST bool Outlines::MayHoldLong(const uint8_t *text, size_t length) {
  std::fill(seen_.begin(), seen_.end(), uint8_t{0});
  uint8_t copy[kBlock] = {'\n'};
  for (size_t at = 0; at < length + 2; at += kStep) {
    // Places are those of the text with both of them.
    const uint8_t *bytes = text + at - 1;
    const size_t count = std::min(kBlock, length + 2 - at);
    if (at == 0) {
      memcpy(copy + 1, text, kBlock - 1);
      bytes = copy;
    } else if (at + kBlock > length + 1) {
      memcpy(copy, bytes, count - 1);
      copy[count - 1] = '\n';
      bytes = copy;
    }
    const uint64_t digits = DigitsOf(bytes, count);
    if (Count(digits) < least_in_segment_)
      continue;
    const Kinds kinds = KindsOf(bytes, count, digits);
    for (const Range &expression : expressions_) {
      bool all = true;
      for (uint32_t segment = expression.from; segment < expression.to; segment++) {
        if (!seen_[segment])
          seen_[segment] = Holds(segments_[segment], kinds);
        all = all && seen_[segment];
      }
      if (all)
        return true;
    }
  }
  return false;
}

} // namespace sluice
