/* Process 1 of a lab machine, and the two small tools that share its code. */
#ifndef LAB_INIT_H
#define LAB_INIT_H

#include <stddef.h>

enum { MOUNTS_MAX = 32, CGROUPS_MAX = 4 };

struct machine {
  const char *name;
  const char *pid_file;
  const char *socket;
  const char *net_namespace;
  const char *cgroups[CGROUPS_MAX];
  size_t cgroup_count;
  /* "DIR:UPPER:WORK": what is written below DIR stays in UPPER. */
  const char *overlays[MOUNTS_MAX];
  size_t overlay_count;
  /* "FROM:TO" */
  const char *binds[MOUNTS_MAX];
  size_t bind_count;
};

/* Writes "lab-init: WHAT: strerror" to stderr and ends the process. */
void fail(const char *what) __attribute__((noreturn));
void fail_because(const char *what, const char *why) __attribute__((noreturn));

void join_cgroups(const char *const *paths, size_t count);
void enter_net_namespace(const char *path);
void make_mounts(const struct machine *m);

/* Writes one byte to ready_fd when it listens, then runs services until SIGTERM; as process 1 it takes everything with it. */
void supervise(const char *socket_path, int ready_fd) __attribute__((noreturn));

/* A listening Unix socket in the place of whatever was there. */
int listen_on(const char *path);

int command_exec(int argc, char **argv);
int command_relay(int argc, char **argv);
int command_tsc_khz(void);
int command_commands(int argc, char **argv);
int command_host(void) __attribute__((noreturn));
int command_offloads_off(int argc, char **argv);

#endif
