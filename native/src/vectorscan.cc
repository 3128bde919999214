// SPDX-License-Identifier: Apache-2.0
#include "vectorscan.h"

#include <cstring>
#include <string>

// Not there in a library that was built for one generation of processors.
extern "C" {
__attribute__((weak)) hs_error_t avx2_hs_scan(const hs_database_t *, const char *, unsigned, unsigned,
                                              hs_scratch_t *, match_event_handler, void *);
__attribute__((weak)) hs_error_t avx2_hs_scan_stream(hs_stream_t *, const char *, unsigned, unsigned,
                                                     hs_scratch_t *, match_event_handler, void *);
}

namespace sluice {

namespace {

// One for each way that was seen to miss.
constexpr const char *kTried[] = {"[0-9A-Za-z_%+'\\x80-\\xff-]@[0-9A-Za-z\\x80-\\xff]", "[a-d]@", "@[a-z]",
                                  "[^0-9]@[^0-9]"};
constexpr char kText[] = "abcd@efgh.org";
constexpr size_t kPlaces = 130;

int CountMatch(unsigned, unsigned long long, unsigned long long, unsigned, void *context) {
  ++*static_cast<unsigned *>(context);
  return 0;
}

bool FindsEverywhere(const Vectorscan &engine, const hs_database_t *database, hs_scratch_t *scratch) {
  for (size_t before = 0; before < kPlaces; before++) {
    for (size_t behind = 0; behind < kPlaces; behind += 9) {
      const std::string text = std::string(before, 'x') + kText + std::string(behind, '.');
      unsigned found = 0;
      if (engine.scan(database, text.data(), static_cast<unsigned>(text.size()), 0, scratch, CountMatch,
                      &found) != HS_SUCCESS ||
          found != 1)
        return false;
    }
  }
  return true;
}

bool FindsAll(const Vectorscan &engine) {
  for (const char *expression : kTried) {
    hs_database_t *database = nullptr;
    hs_compile_error_t *problem = nullptr;
    if (hs_compile(expression, HS_FLAG_DOTALL, HS_MODE_BLOCK, &engine.platform, &database, &problem) !=
        HS_SUCCESS) {
      hs_free_compile_error(problem);
      return false;
    }
    hs_scratch_t *scratch = nullptr;
    const bool finds =
        hs_alloc_scratch(database, &scratch) == HS_SUCCESS && FindsEverywhere(engine, database, scratch);
    hs_free_scratch(scratch);
    hs_free_database(database);
    if (!finds)
      return false;
  }
  return true;
}

Vectorscan Choose() {
  Vectorscan engine = {hs_scan, hs_scan_stream, {}, false};
  if (hs_populate_platform(&engine.platform) != HS_SUCCESS)
    return engine;
  constexpr unsigned long long kAvx512 = HS_CPU_FEATURES_AVX512 | HS_CPU_FEATURES_AVX512VBMI;
  if ((engine.platform.cpu_features & kAvx512) != 0 && avx2_hs_scan != nullptr &&
      avx2_hs_scan_stream != nullptr) {
    engine.scan = avx2_hs_scan;
    engine.scan_stream = avx2_hs_scan_stream;
    engine.platform.cpu_features &= ~kAvx512;
  }
  engine.finds = FindsAll(engine);
  return engine;
}

} // namespace

const Vectorscan &ChosenVectorscan() {
  static const Vectorscan engine = Choose();
  return engine;
}

} // namespace sluice
