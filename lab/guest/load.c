/*
 * Memory and CPU load.
 *
 * Every page of the working set: version, checksum of (page, version), the marker, and a body that follows from the page's
 * number. Pages are written in order, so each page's version follows from one counter: a write that a migration lost shows
 * as a wrong version within one round, and a page that a migration mixed up shows as a wrong body.
 */
#define _GNU_SOURCE
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BODY_WORDS = (PAGE_BYTES - 128) / 8, TICK_NS = 20000000, PAGES_PER_MIB = 256 };
/* A thread with nothing to do looks for new orders this often. */
enum { IDLE_NS = 250000000 };

struct page {
  uint64_t version, checksum;
  char marker[MARKER_BYTES_MAX];
  uint64_t unused[6];
  uint64_t body[BODY_WORDS];
};
_Static_assert(sizeof(struct page) == PAGE_BYTES, "a page is a page");

static struct page *pages;
static uint64_t page_count;

static uint64_t checksum(uint64_t index, uint64_t version) { return mix(index * 0x9e3779b97f4a7c15ULL + version + 1); }

static uint64_t body_word(uint64_t index, uint64_t word) { return (index << 32 | word) * 0x9e3779b97f4a7c15ULL ^ 0x5851f42d4c957f2dULL; }

void memory_prepare(void) {
  page_count = (uint64_t)settings.working_set_mib * PAGES_PER_MIB;
  pages = mmap(NULL, page_count * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (page_count && pages == MAP_FAILED) {
    perror("working set");
    page_count = 0;
  }
  for (uint64_t i = 0; i < page_count; i++) {
    memcpy(pages[i].marker, settings.marker, sizeof settings.marker);
    for (uint64_t w = 0; w < BODY_WORDS; w++) pages[i].body[w] = body_word(i, w);
    pages[i].checksum = checksum(i, 0);
  }
}

static void dirty_next(void) {
  uint64_t total = shared.pages_dirtied, index = total % page_count, version = total / page_count;
  struct page *p = &pages[index];
  if (p->version != version || p->checksum != checksum(index, version)) shared.memory_errors++;
  p->version = version + 1;
  p->checksum = checksum(index, version + 1);
  shared.pages_dirtied = total + 1;
}

void memory_dirty(void) {
  uint64_t owed_page_ns = 0;
  for (uint64_t next = monotonic_ns() + TICK_NS; page_count; next += TICK_NS) {
    if (shared.dirty_mib_per_second) sleep_until_ns(next);
    else sleep_until_tick(next + IDLE_NS);
    uint64_t now = monotonic_ns();
    /* Late by more than a second: the host is over its line. Do not try to catch up for ever. */
    if (!shared.dirty_mib_per_second || now > next + 1000000000ULL) next = now;
    owed_page_ns += (uint64_t)shared.dirty_mib_per_second * PAGES_PER_MIB * TICK_NS;
    for (; owed_page_ns >= 1000000000ULL; owed_page_ns -= 1000000000ULL) dirty_next();
  }
}

static int page_is_whole(uint64_t index) {
  const struct page *p = &pages[index];
  if (memcmp(p->marker, settings.marker, sizeof settings.marker) != 0) return 0;
  for (uint64_t w = 0; w < BODY_WORDS; w++)
    if (p->body[w] != body_word(index, w)) return 0;
  return 1;
}

void memory_verify(void) {
  enum { PAGES_PER_ROUND = 16, ROUND_NS = 100000000 };
  uint64_t index = 0;
  for (uint64_t next = monotonic_ns(); page_count; next += ROUND_NS) {
    for (int i = 0; i < PAGES_PER_ROUND; i++, index = (index + 1) % page_count) {
      if (!page_is_whole(index)) shared.memory_errors++;
      shared.pages_checked++;
    }
    uint64_t now = monotonic_ns();
    if (now > next + ROUND_NS) next = now;
    sleep_until_tick(next + ROUND_NS);
  }
}

void cpu_burn(void) {
  enum { PERIOD_NS = 100000000 };
  for (uint64_t period = monotonic_ns();; period += PERIOD_NS) {
    uint64_t now = monotonic_ns();
    if (now > period + PERIOD_NS) period = now;
    uint64_t until = period + (uint64_t)shared.cpu_percent * (PERIOD_NS / 100);
    for (volatile unsigned spin = 0; monotonic_ns() < until;)
      for (int i = 0; i < 2000; i++) spin++;
    if (shared.cpu_percent) sleep_until_ns(period + PERIOD_NS);
    else sleep_until_tick(period + IDLE_NS);
  }
}
