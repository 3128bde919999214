// SPDX-License-Identifier: Apache-2.0
// Which of the library's implementations scans. It brings one for each generation of processors and picks the
// newest that runs; the one for AVX-512 (of 5.4.9 to 5.4.12 at least) misses matches: at ends of what it is
// given, and with some classes of bytes anywhere. A scanner that misses is a mask that leaks, so where there
// is AVX-512 the one for AVX2 is asked for by its own name. Whichever it is has to find what a few scans are
// known to hold before it is used.
#pragma once

#include <hs.h>

namespace sluice {

struct Vectorscan {
  decltype(&hs_scan) scan;
  decltype(&hs_scan_stream) scan_stream;
  // What databases are compiled for.
  hs_platform_info_t platform;
  // Whether it found what it was tried with; if not, nothing can be searched on this host.
  bool finds;
};

// Chosen and tried once for each process.
const Vectorscan &ChosenVectorscan();

} // namespace sluice
