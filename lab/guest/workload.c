/* Process 1 of a lab guest: brings the VM up, then one thread per kind of load and per check. */
#define _GNU_SOURCE
#include "workload.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct settings settings;
struct shared shared;

uint64_t monotonic_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

void sleep_until_ns(uint64_t when) {
  struct timespec t = {.tv_sec = (time_t)(when / 1000000000ULL), .tv_nsec = (long)(when % 1000000000ULL)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0) continue;
}

void sleep_until_tick(uint64_t when) { sleep_until_ns((when + BEAT_NS - 1) / BEAT_NS * BEAT_NS); }

/* splitmix64's finalizer: one cheap step that spreads every input bit. */
uint64_t mix(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

struct start {
  void (*body)(void);
  int nice_level;
};

static void *run(void *argument) {
  struct start *s = argument;
  /* Linux keeps the nice level per thread. */
  setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), s->nice_level);
  s->body();
  return NULL;
}

void start_thread(void (*body)(void), int nice_level) {
  struct start *s = malloc(sizeof *s);
  pthread_t thread;
  if (!s) return;
  *s = (struct start){body, nice_level};
  if (pthread_create(&thread, NULL, run, s) != 0) perror("pthread_create");
}

int main(void) {
  boot();
  memory_prepare();
  start_thread(memory_dirty, 0);
  start_thread(memory_verify, 10);
  start_thread(cpu_burn, 19);
  start_thread(disk_write, 0);
  start_thread(kernel_log_watch, 0);
  control_serve();
}
