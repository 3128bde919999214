// SPDX-License-Identifier: Apache-2.0
/* What is done many times, and what of the processor it took: for clients that are both ends of what they do.
 */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* Of this process and all the kernel does in its name, nanoseconds. */
static inline int64_t processor_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Does it `count` times and prints their processor time, nanoseconds; a tenth more comes before and is not
 * counted. */
static inline void print_cost(long count, void (*act)(void)) {
  int64_t began = 0;
  for (long n = -(count / 10); n < count; n++) {
    if (n == 0)
      began = processor_ns();
    act();
  }
  printf("%lld\n", (long long)(processor_ns() - began));
}
