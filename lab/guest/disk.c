/*
 * Disk load: numbered records with a checksum, each forced to the disk, read back and compared. Record n lies at slot
 * n modulo the disk's size, so whoever reads the disk from outside can tell whether one write was lost or doubled.
 *
 * Record: "PLIMREC1", number (8 bytes, little endian), guest's name (32 bytes), body, CRC-32 of all before it.
 */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SCAN_BYTES = 64 * 1024, TICK_NS = 50000000, IDLE_NS = 250000000 };

struct record {
  char magic[8];
  uint64_t number;
  char name[32];
  uint64_t body[57];
  uint32_t unused, crc;
};
_Static_assert(sizeof(struct record) == RECORD_BYTES, "a record is a sector");

static uint32_t crc32(const void *data, size_t length) {
  const unsigned char *p = data;
  uint32_t crc = 0xffffffff;
  for (size_t i = 0; i < length; i++) {
    crc ^= p[i];
    for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

static void fill(struct record *r, uint64_t number) {
  memset(r, 0, sizeof *r);
  memcpy(r->magic, "PLIMREC1", 8);
  r->number = number;
  memcpy(r->name, settings.name, sizeof r->name);
  for (uint64_t i = 0; i < 57; i++) r->body[i] = mix(number * 64 + i);
  r->crc = crc32(r, offsetof(struct record, crc));
}

/* The number after the highest on the disk; 0 on a new disk. A VM that boots again goes on where it was. */
static uint64_t first_free_number(int fd, char *buffer, uint64_t disk_bytes) {
  uint64_t next = 0;
  for (uint64_t at = 0; at < disk_bytes; at += SCAN_BYTES) {
    ssize_t n = pread(fd, buffer, SCAN_BYTES, (off_t)at);
    for (ssize_t i = 0; i + RECORD_BYTES <= n; i += RECORD_BYTES) {
      const struct record *r = (const struct record *)(buffer + i);
      if (memcmp(r->magic, "PLIMREC1", 8) != 0) return next;
      if (r->number >= next) next = r->number + 1;
    }
  }
  return next;
}

static int write_record(int fd, struct record *written, struct record *read_back, uint64_t number, uint64_t slots) {
  off_t at = (off_t)(number % slots * RECORD_BYTES);
  fill(written, number);
  if (pwrite(fd, written, RECORD_BYTES, at) != RECORD_BYTES || fsync(fd) != 0) return 0;
  return pread(fd, read_back, RECORD_BYTES, at) == RECORD_BYTES && memcmp(written, read_back, RECORD_BYTES) == 0;
}

void disk_write(void) {
  int fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
  if (fd < 0) {
    perror("/dev/vda");
    if (errno != ENOENT) shared.disk_errors++;
    return;
  }
  char *scan = aligned_alloc(PAGE_BYTES, SCAN_BYTES);
  uint64_t bytes = (uint64_t)lseek(fd, 0, SEEK_END), slots = bytes / RECORD_BYTES;
  if (!scan || !slots) return;
  uint64_t number = first_free_number(fd, scan, bytes), owed_ns = 0;
  struct record *written = (struct record *)scan, *read_back = (struct record *)(scan + RECORD_BYTES);
  shared.disk_records = number;
  for (uint64_t next = monotonic_ns() + TICK_NS;; next += TICK_NS) {
    if (shared.disk_writes_per_second) sleep_until_ns(next);
    else sleep_until_tick(next + IDLE_NS);
    uint64_t now = monotonic_ns();
    if (!shared.disk_writes_per_second || now > next + 1000000000ULL) next = now;
    owed_ns += (uint64_t)shared.disk_writes_per_second * TICK_NS;
    for (; owed_ns >= 1000000000ULL; owed_ns -= 1000000000ULL) {
      /* A failed record is written again under its number, so the sequence on the disk never has a hole. */
      if (write_record(fd, written, read_back, number, slots)) shared.disk_records = ++number;
      else shared.disk_errors++;
    }
  }
}
