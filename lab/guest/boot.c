/* What an init does, and no more: mounts, modules, network, settings. No shell is needed, so the image stays small. */
#define _GNU_SOURCE
#include "early.h"
#include "workload.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void set_text(char *to, size_t size, const char *from) { snprintf(to, size, "%s", from); }

static void take_setting(char *word) {
  char *value = strchr(word, '=');
  if (!value || strncmp(word, "plimsoll.", 9)) return;
  *value++ = 0;
  if (!strcmp(word, "plimsoll.name")) set_text(settings.name, sizeof settings.name, value);
  else if (!strcmp(word, "plimsoll.ip")) set_text(settings.ip, sizeof settings.ip, value);
  else if (!strcmp(word, "plimsoll.collector")) set_text(settings.collector, sizeof settings.collector, value);
  else if (!strcmp(word, "plimsoll.marker")) set_text(settings.marker, sizeof settings.marker, value);
  else if (!strcmp(word, "plimsoll.workingset")) settings.working_set_mib = (unsigned)strtoul(value, NULL, 10);
}

static void set_address(int fd, unsigned long request, const char *ip) {
  struct ifreq r = {0};
  struct sockaddr_in *a = (struct sockaddr_in *)&r.ifr_addr;
  strcpy(r.ifr_name, "eth0");
  a->sin_family = AF_INET;
  inet_pton(AF_INET, ip, &a->sin_addr);
  if (ioctl(fd, request, &r) != 0) perror("eth0");
}

static void link_up(int fd, const char *name) {
  struct ifreq r = {0};
  strcpy(r.ifr_name, name);
  if (ioctl(fd, SIOCGIFFLAGS, &r) != 0) perror(name);
  r.ifr_flags |= IFF_UP | IFF_RUNNING;
  if (ioctl(fd, SIOCSIFFLAGS, &r) != 0) perror(name);
}

void boot(void) {
  mount_kernel_folders();
  each_boot_word(take_setting);
  load_modules();
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  link_up(fd, "lo");
  set_address(fd, SIOCSIFADDR, settings.ip);
  set_address(fd, SIOCSIFNETMASK, "255.255.255.0");
  link_up(fd, "eth0");
  close(fd);
}
