/* Counts what the guest's kernel complains about: a migration that corrupts memory is seen here first. */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const troubles[] = {"Oops",        "BUG:",    "soft lockup",     "rcu: INFO", "I/O error", "general protection",
                                       "Call Trace:", "panic",   "hung_task",       "blocked for more than"};

static int is_trouble(const char *line) {
  for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++)
    if (strstr(line, troubles[i])) return 1;
  return 0;
}

void kernel_log_watch(void) {
  int fd = open("/dev/kmsg", O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    perror("/dev/kmsg");
    return;
  }
  lseek(fd, 0, SEEK_END);
  for (char line[2048];;) {
    ssize_t n = read(fd, line, sizeof line - 1);
    /* EPIPE: lines were overwritten before they were read; the next read goes on. */
    if (n < 0 && errno != EPIPE && errno != EINTR) return;
    if (n <= 0) continue;
    line[n] = 0;
    /* The command line is in the log too, and it says panic=. */
    if (is_trouble(line) && !strstr(line, "ommand line")) shared.kernel_troubles++;
  }
}
