// SPDX-License-Identifier: Apache-2.0
// Whether a text can hold a match of one of some expressions, by their outlines: how many digits every match
// has, and segments that stand in each, a kind of byte for each place. It tells in some nanoseconds, for
// which texts expressions without a literal are worth a look. It may say yes where there is none.
//
// Kinds, by their letters: d digit, j space or hyphen, s from space to slash, w neither letter nor digit,
// v the same and no point, a any. Before a text and behind it stands a line feed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

struct Outline {
  size_t digits = 0;
  // At most 31 places each, of which one at least is a digit.
  std::vector<std::string> segments;
};

class Outlines {
public:
  void Add(const Outline &outline);
  bool empty() const {
    return expressions_.empty();
  }
  // `readable`: as many bytes there are from `text` on.
  bool MayHold(const uint8_t *text, size_t length, size_t readable);

private:
  // One bit for each of 64 places.
  struct Kinds;
  struct Condition {
    uint8_t kind;
    // Places behind the first of its segment.
    uint8_t at;
  };
  struct Range {
    uint32_t from;
    uint32_t to;
  };

  static Kinds KindsOf(const uint8_t *bytes, size_t count, uint64_t digits);
  void Conditions(const std::string &segment);
  bool Holds(const Range &segment, const Kinds &kinds) const;
  bool HoldsAll(const Kinds &kinds) const;
  bool MayHoldLong(const uint8_t *text, size_t length);

  std::vector<Condition> conditions_;
  std::vector<Range> segments_;
  std::vector<Range> expressions_;
  // The fewest of an expression, and of a segment.
  size_t least_digits_ = SIZE_MAX;
  size_t least_in_segment_ = SIZE_MAX;
  // By segment, of a long text.
  std::vector<uint8_t> seen_;
};

} // namespace sluice
