#define _GNU_SOURCE
#include "early.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void mount_at(const char *source, const char *path, const char *type, unsigned long flags, const char *options) {
  mkdir(path, 0755);
  if (mount(source, path, type, flags, options) != 0) perror(path);
}

void mount_kernel_folders(void) {
  mount_at("devtmpfs", "/dev", "devtmpfs", 0, NULL);
  mount_at("proc", "/proc", "proc", 0, NULL);
  mount_at("sysfs", "/sys", "sysfs", 0, NULL);
}

static int only_modules(const struct dirent *e) { return strstr(e->d_name, ".ko") != NULL; }

/* The image names them in load order: 00-virtio.ko, 01-... */
void load_modules(void) {
  struct dirent **names;
  int count = scandir("/modules", &names, only_modules, alphasort);
  for (int i = 0; i < count; i++) {
    char path[300];
    snprintf(path, sizeof path, "/modules/%s", names[i]->d_name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0) perror(path);
    if (fd >= 0) close(fd);
  }
}

void each_boot_word(void (*take)(char *word)) {
  char line[2048] = "";
  FILE *f = fopen("/proc/cmdline", "re");
  if (!f || !fgets(line, sizeof line, f)) perror("/proc/cmdline");
  if (f) fclose(f);
  for (char *save = NULL, *word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) take(word);
}
