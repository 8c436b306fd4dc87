/*
 * The guest on the network, UDP port 7000, text:
 *   "echo ..."                            -> the same datagram at once (an outside client measures downtime with it)
 *   "steer ID cpu=N dirty=N disk=N"       -> "steered ID cpu=N dirty=N disk=N"; absent keys stay as they are
 * and 20 times a second to the collector, port 7001:
 *   "beat NAME BOOT SEQ UPTIME_MS PAGES_DIRTIED PAGES_CHECKED MEMORY_ERRORS DISK_RECORDS DISK_ERRORS KERNEL_TROUBLES CPU DIRTY DISK"
 * A second running copy of the VM shows as a SEQ that comes twice under one BOOT.
 */
#define _GNU_SOURCE
#include "workload.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { CONTROL_PORT = 7000, COLLECTOR_PORT = 7001 };

static uint32_t boot_id;

static struct sockaddr_in address(const char *ip, uint16_t port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, ip, &a.sin_addr);
  return a;
}

static void read_number(const char *text, const char *key, atomic_uint *to, unsigned max) {
  const char *at = strstr(text, key);
  if (!at) return;
  unsigned long value = strtoul(at + strlen(key), NULL, 10);
  *to = value > max ? max : (unsigned)value;
}

static int answer_steer(const char *text, char *answer, size_t size) {
  char id[33] = "";
  if (sscanf(text, "steer %32s", id) != 1) return 0;
  read_number(text, " cpu=", &shared.cpu_percent, 100);
  read_number(text, " dirty=", &shared.dirty_mib_per_second, 4096);
  read_number(text, " disk=", &shared.disk_writes_per_second, 1000);
  return snprintf(answer, size, "steered %s cpu=%u dirty=%u disk=%u", id, shared.cpu_percent, shared.dirty_mib_per_second,
                  shared.disk_writes_per_second);
}

static void answer_one(int fd) {
  char text[512], answer[512];
  struct sockaddr_in from;
  socklen_t from_length = sizeof from;
  ssize_t n = recvfrom(fd, text, sizeof text - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &from_length);
  if (n <= 0) return;
  text[n] = 0;
  if (!strncmp(text, "echo ", 5)) {
    sendto(fd, text, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&from, from_length);
    return;
  }
  int length = answer_steer(text, answer, sizeof answer);
  if (length > 0) sendto(fd, answer, (size_t)length, MSG_DONTWAIT, (struct sockaddr *)&from, from_length);
}

static void send_beat(int fd, const struct sockaddr_in *collector, uint64_t sequence) {
  char text[256];
  int length = snprintf(text, sizeof text, "beat %s %08x %llu %llu %llu %llu %llu %llu %llu %llu %u %u %u", settings.name, boot_id,
                        (unsigned long long)sequence, (unsigned long long)(monotonic_ns() / 1000000), shared.pages_dirtied,
                        shared.pages_checked, shared.memory_errors, shared.disk_records, shared.disk_errors, shared.kernel_troubles,
                        shared.cpu_percent, shared.dirty_mib_per_second, shared.disk_writes_per_second);
  sendto(fd, text, (size_t)length, MSG_DONTWAIT, (const struct sockaddr *)collector, sizeof *collector);
}

static int beat_timer(void) {
  struct itimerspec every = {.it_interval.tv_nsec = BEAT_NS, .it_value.tv_nsec = BEAT_NS};
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  /* From a multiple of the interval since boot, so that the other threads can wake at the same moments. */
  timerfd_settime(fd, TFD_TIMER_ABSTIME, &every, NULL);
  return fd;
}

void control_serve(void) {
  /* The beats must tell of the VM, not of its load: before every other thread. */
  struct sched_param priority = {.sched_priority = 10};
  sched_setscheduler(0, SCHED_FIFO, &priority);
  boot_id = (uint32_t)mix(__builtin_ia32_rdtsc());
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), timer = beat_timer();
  struct sockaddr_in here = address("0.0.0.0", CONTROL_PORT), collector = address(settings.collector, COLLECTOR_PORT);
  if (bind(fd, (struct sockaddr *)&here, sizeof here) != 0) perror("bind");
  puts("plimsoll guest: up");
  for (uint64_t sequence = 0;;) {
    struct pollfd polled[2] = {{.fd = timer, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    uint64_t expired;
    poll(polled, 2, -1);
    if (read(timer, &expired, sizeof expired) == sizeof expired) send_beat(fd, &collector, sequence++);
    if (polled[1].revents) answer_one(fd);
  }
}
