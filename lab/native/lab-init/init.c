/*
 * lab-init: process 1 of a lab machine.
 *
 *   lab-init boot --name N --pid-file F --socket S [--net-namespace F] [--cgroup F]...
 *                 [--overlay DIR:UPPER:WORK]... [--bind FROM:TO]...
 *   lab-init exec --pid PID1 [--cgroup F]... -- COMMAND...
 *   lab-init offloads-off [--net-namespace F] INTERFACE...
 *   lab-init relay FROM TO [FROM TO]...         (unix:PATH or tcp:A.B.C.D:PORT)
 *   lab-init commands SOCKET
 *   lab-init tsc-khz
 *
 * As /init of an initramfs it takes no arguments: it is process 1 of a host that is a virtual machine.
 *
 * A lab machine must have a process 1 that reaps: without one every dead QEMU stays a zombie, libvirt waits for it, and a
 * migration takes 41 s instead of 1 s (measured). It is in C because there is one per machine and it must cost nothing.
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void fail_because(const char *what, const char *why) {
  fprintf(stderr, "lab-init: %s: %s\n", what, why);
  exit(70);
}

void fail(const char *what) { fail_because(what, strerror(errno)); }

static void append(const char **list, size_t *count, size_t max, const char *value) {
  if (*count == max) fail_because(value, "too many options of this kind");
  list[(*count)++] = value;
}

static struct machine parse(int argc, char **argv) {
  struct machine m = {0};
  for (int i = 0; i + 1 < argc; i += 2) {
    const char *key = argv[i], *value = argv[i + 1];
    if (!strcmp(key, "--name")) m.name = value;
    else if (!strcmp(key, "--pid-file")) m.pid_file = value;
    else if (!strcmp(key, "--socket")) m.socket = value;
    else if (!strcmp(key, "--net-namespace")) m.net_namespace = value;
    else if (!strcmp(key, "--cgroup")) append(m.cgroups, &m.cgroup_count, CGROUPS_MAX, value);
    else if (!strcmp(key, "--overlay")) append(m.overlays, &m.overlay_count, MOUNTS_MAX, value);
    else if (!strcmp(key, "--bind")) append(m.binds, &m.bind_count, MOUNTS_MAX, value);
    else fail_because(key, "unknown option");
  }
  if (!m.name || !m.pid_file || !m.socket) fail_because("boot", "--name, --pid-file and --socket are needed");
  return m;
}

/* Opened before there are mounts, which may hide its folder. */
static FILE *open_pid_file(const char *path) {
  FILE *f = fopen(path, "we");
  if (!f) fail(path);
  return f;
}

/* Returns when the machine's process 1 is listening, so that the caller needs no waiting of its own. */
static int boot(int argc, char **argv) {
  struct machine m = parse(argc, argv);
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) fail("pipe2");
  join_cgroups(m.cgroups, m.cgroup_count);
  if (m.net_namespace) enter_net_namespace(m.net_namespace);
  FILE *pid_file = open_pid_file(m.pid_file);
  if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID) != 0) fail("unshare");
  pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    setsid();
    fclose(pid_file);
    if (sethostname(m.name, strlen(m.name)) != 0) fail("sethostname");
    make_mounts(&m);
    if (chdir("/") != 0) fail("chdir");
    close(ready[0]);
    supervise(m.socket, ready[1]);
  }
  if (fprintf(pid_file, "%d\n", (int)pid) < 0 || fclose(pid_file) != 0) fail(m.pid_file);
  close(ready[1]);
  char byte;
  if (read(ready[0], &byte, 1) != 1) {
    int status = 0;
    waitpid(pid, &status, 0);
    return 70;
  }
  return 0;
}

int main(int argc, char **argv) {
  if (getpid() == 1 && argc == 1) command_host();
  if (argc >= 2 && !strcmp(argv[1], "boot")) return boot(argc - 2, argv + 2);
  if (argc >= 2 && !strcmp(argv[1], "exec")) return command_exec(argc - 2, argv + 2);
  if (argc >= 2 && !strcmp(argv[1], "offloads-off")) return command_offloads_off(argc - 2, argv + 2);
  if (argc >= 2 && !strcmp(argv[1], "relay")) return command_relay(argc - 2, argv + 2);
  if (argc >= 2 && !strcmp(argv[1], "commands")) return command_commands(argc - 2, argv + 2);
  if (argc == 2 && !strcmp(argv[1], "tsc-khz")) return command_tsc_khz();
  fail_because("usage", "boot | exec | offloads-off | relay | commands | tsc-khz");
}
