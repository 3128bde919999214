// SPDX-License-Identifier: Apache-2.0
// Whether a text holds many digits close together: what all numbers of cards, accounts and telephones have,
// and few other texts. It tells, at a few bytes a nanosecond, for which texts the expressions for them are
// worth a look.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

// Behind a text so many bytes can be read.
constexpr size_t kReadBehind = 64;

// Whether there are `least` digits with nothing between them but digits and bytes from space to slash: signs,
// and no letter.
bool HasDigitRun(const uint8_t *text, size_t length, size_t least);

} // namespace sluice
