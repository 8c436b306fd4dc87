/* The lab's guest: process 1 of a VM whose health can be seen and whose load can be steered from outside. */
#ifndef LAB_WORKLOAD_H
#define LAB_WORKLOAD_H

#include <stdatomic.h>
#include <stdint.h>

enum { PAGE_BYTES = 4096, MARKER_BYTES_MAX = 64, RECORD_BYTES = 512, BEAT_NS = 50000000 };

/* From the kernel command line: plimsoll.name= .ip= .collector= .marker= .workingset= (MiB). */
struct settings {
  char name[32], ip[16], collector[16], marker[MARKER_BYTES_MAX];
  unsigned working_set_mib;
};

struct shared {
  atomic_uint cpu_percent, dirty_mib_per_second, disk_writes_per_second;
  atomic_ullong pages_dirtied, pages_checked, memory_errors;
  atomic_ullong disk_records, disk_errors;
  atomic_ullong kernel_troubles;
};

extern struct settings settings;
extern struct shared shared;

uint64_t monotonic_ns(void);
/* Wakes at the next tick of 50 ms at or after `when`, together with the beat: each wake-up of its own costs the emulator. */
void sleep_until_tick(uint64_t when);
void sleep_until_ns(uint64_t when);
uint64_t mix(uint64_t x);
/* Runs `body` in a thread of its own; nice 0..19. */
void start_thread(void (*body)(void), int nice_level);

void boot(void);
void memory_prepare(void);
void memory_dirty(void);
void memory_verify(void);
void cpu_burn(void);
void disk_write(void);
void kernel_log_watch(void);
void control_serve(void) __attribute__((noreturn));

#endif
