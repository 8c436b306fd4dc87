/*
 * Prints how many thousand ticks this machine's time stamp counter makes in a second. An emulated CPU has the same counter;
 * told so, its kernel keeps time by it. Left alone it would take the HPET, where each look at the clock leaves the emulation
 * (measured: a host's agent then needs a third of its CPU while it does nothing).
 */
#include "init.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int command_tsc_khz(void) {
  const struct timespec pause = {.tv_nsec = 300000000};
  int64_t from_ns = now_ns();
  uint64_t from = __builtin_ia32_rdtsc();
  nanosleep(&pause, NULL);
  uint64_t ticks = __builtin_ia32_rdtsc() - from;
  printf("%.0f\n", (double)ticks * 1e6 / (double)(now_ns() - from_ns));
  return 0;
}
