/* Joining and building the namespaces of a machine. */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void join_cgroups(const char *const *paths, size_t count) {
  for (size_t i = 0; i < count; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/cgroup.procs", paths[i]);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) fail(path);
    close(fd);
  }
}

static void enter(const char *path, int type) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, type) != 0) fail(path);
  close(fd);
}

void enter_net_namespace(const char *path) { enter(path, CLONE_NEWNET); }

/* Cuts "a:b:c" in place; returns the number of parts. */
static int split(char *text, char **parts, int max) {
  int n = 0;
  for (char *save = NULL, *part = strtok_r(text, ":", &save); part && n < max; part = strtok_r(NULL, ":", &save)) parts[n++] = part;
  return n;
}

static void mount_overlay(const char *spec) {
  char text[1024], options[1536], *parts[3];
  snprintf(text, sizeof text, "%s", spec);
  if (split(text, parts, 3) != 3) fail_because(spec, "want DIR:UPPER:WORK");
  snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", parts[0], parts[1], parts[2]);
  if (mount("overlay", parts[0], "overlay", 0, options) != 0) fail(parts[0]);
}

static void mount_bind(const char *spec) {
  char text[1024], *parts[2];
  snprintf(text, sizeof text, "%s", spec);
  if (split(text, parts, 2) != 2) fail_because(spec, "want FROM:TO");
  if (mount(parts[0], parts[1], NULL, MS_BIND, NULL) != 0) fail(spec);
}

void make_mounts(const struct machine *m) {
  /* Slave, not private: a private copy would pin namespaces and file systems that the machine outside unmounts later. */
  if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0) fail("mount /");
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) fail("mount /proc");
  for (size_t i = 0; i < m->overlay_count; i++) mount_overlay(m->overlays[i]);
  for (size_t i = 0; i < m->bind_count; i++) mount_bind(m->binds[i]);
}

static int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

/* Runs a command inside a machine: its namespaces and its CPU capacity. The command dies with this process. */
int command_exec(int argc, char **argv) {
  const char *pid = NULL, *cgroups[CGROUPS_MAX];
  size_t cgroup_count = 0;
  int i = 0;
  for (; i + 1 < argc && strcmp(argv[i], "--"); i += 2) {
    if (!strcmp(argv[i], "--pid")) pid = argv[i + 1];
    else if (!strcmp(argv[i], "--cgroup") && cgroup_count < CGROUPS_MAX) cgroups[cgroup_count++] = argv[i + 1];
    else fail_because(argv[i], "unknown option");
  }
  if (!pid || i + 1 >= argc || strcmp(argv[i], "--")) fail_because("exec", "want --pid PID [--cgroup F] -- COMMAND");
  join_cgroups(cgroups, cgroup_count);
  static const char *const kinds[] = {"ipc", "uts", "net", "pid", "mnt"};
  int fds[5];
  for (int k = 0; k < 5; k++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/ns/%s", pid, kinds[k]);
    if ((fds[k] = open(path, O_RDONLY | O_CLOEXEC)) < 0) fail_because(path, "the machine's process 1 is gone");
  }
  for (int k = 0; k < 5; k++)
    if (setns(fds[k], 0) != 0) fail(kinds[k]);
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir("/") != 0) fail("chdir");
    execvp(argv[i + 1], argv + i + 1);
    fprintf(stderr, "%s: %s\n", argv[i + 1], strerror(errno));
    _exit(127);
  }
  /* The terminal sends Ctrl-C to both; the command decides. */
  signal(SIGINT, SIG_IGN);
  signal(SIGQUIT, SIG_IGN);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return exit_code(status);
}
