// SPDX-License-Identifier: Apache-2.0
#include "digit_run.h"

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
static_assert(kBlock <= kReadBehind);

// Of 64 bytes, one bit each.
struct Block {
  uint64_t digits = 0;
  // Digits, and what may stand between them.
  uint64_t inner = 0;
};

#ifdef __x86_64__
FAST inline uint64_t Within(__m128i bytes, char first, char count) {
  const __m128i from = _mm_sub_epi8(bytes, _mm_set1_epi8(first));
  const __m128i fits = _mm_cmpeq_epi8(_mm_min_epu8(from, _mm_set1_epi8(static_cast<char>(count - 1))), from);
  return static_cast<uint32_t>(_mm_movemask_epi8(fits));
}

FAST inline Block Look(const uint8_t *bytes, size_t length) {
  Block block;
  for (size_t at = 0; at < kBlock && at < length; at += 16) {
    const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i *>(bytes + at));
    block.digits |= Within(sixteen, '0', 10) << at;
    block.inner |= Within(sixteen, ' ', 26) << at;
  }
  return block;
}
#else
Block Look(const uint8_t *bytes, size_t length) {
  Block block;
  for (size_t at = 0; at < kBlock && at < length; at++) {
    block.digits |= static_cast<uint64_t>(bytes[at] >= '0' && bytes[at] <= '9') << at;
    block.inner |= static_cast<uint64_t>(bytes[at] >= ' ' && bytes[at] <= '9') << at;
  }
  return block;
}
#endif

// The bits from which on `width` are set.
inline uint64_t StartsOf(uint64_t bits, size_t width) {
  for (size_t have = 1; have < width && bits != 0;) {
    const size_t step = have < width - have ? have : width - have;
    bits &= bits >> step;
    have += step;
  }
  return bits;
}

inline uint64_t Lowest(size_t count) {
  return count >= kBlock ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

FAST inline size_t Count(uint64_t bits) {
  return static_cast<size_t>(__builtin_popcountll(bits));
}

} // namespace

FAST bool HasDigitRun(const uint8_t *text, size_t length, size_t least) {
  // Digits of a run that reaches the end of the block before.
  size_t carried = 0;
  for (size_t at = 0; at < length; at += kBlock) {
    const Block block = Look(text + at, length - at);
    uint64_t rest = block.inner & Lowest(length - at);
    // Most texts have no run that is long enough, and are of one block.
    if (length <= kBlock && StartsOf(rest, least) == 0)
      return false;
    size_t reaching = 0;
    while (rest != 0) {
      const auto start = static_cast<size_t>(__builtin_ctzll(rest));
      const uint64_t others = ~(rest >> start);
      const size_t width = others == 0 ? kBlock : static_cast<size_t>(__builtin_ctzll(others));
      const size_t end = start + width < kBlock ? start + width : kBlock;
      const uint64_t run = Lowest(end) & ~Lowest(start);
      const size_t digits = Count(block.digits & run) + (start == 0 ? carried : 0);
      if (digits >= least)
        return true;
      if (end == kBlock)
        reaching = digits;
      rest &= ~run;
    }
    carried = reaching;
  }
  return false;
}

} // namespace sluice
