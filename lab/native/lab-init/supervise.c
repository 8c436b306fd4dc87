/*
 * The supervisor of a machine: reaps every process, starts services and restarts them with a small back-off as systemd's
 * Restart=always does (RestartSec=100ms, doubled up to 5 s while the service keeps dying within 10 s).
 *
 * One request per connection; fields end with a NUL byte; the client shuts its side down, then reads the answer to the end.
 *   start NAME always|never LOG ENV_COUNT ENV... ARGV...   -> "ok" | "error ..."
 *   stop NAME                                              -> "ok" (SIGTERM now, SIGKILL after 5 s; ask status for the end)
 *   status                                                 -> "NAME running|waiting|stopping|stopped PID RESTARTS WAIT_STATUS" lines
 * PID is the number inside the machine.
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SERVICES_MAX = 64, FIELDS_MAX = 256, REQUEST_BYTES_MAX = 64 * 1024 };
static const int64_t BACKOFF_MS_MIN = 100, BACKOFF_MS_MAX = 5000, STEADY_MS = 10000, STOP_MS = 5000;

enum state { RUNNING, WAITING, STOPPING, STOPPED };
static const char *const state_names[] = {"running", "waiting", "stopping", "stopped"};

struct service {
  char *request; /* owns the memory that the pointers below refer to */
  const char *name, *log;
  char **env, **argv;
  int always;
  enum state state;
  pid_t pid;
  int wait_status;
  unsigned restarts;
  int64_t started_ms, backoff_ms;
  int64_t due_ms; /* WAITING: start again; STOPPING: SIGKILL */
};

static struct service services[SERVICES_MAX];
static size_t service_count;

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void become(struct service *s) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setsid();
  int log = open(s->log, O_WRONLY | O_CREAT | O_APPEND, 0640);
  if (log < 0) _exit(126);
  dup2(log, 1);
  dup2(log, 2);
  if (log > 2) close(log);
  for (char **e = s->env; *e; e++) putenv(*e);
  execvp(s->argv[0], s->argv);
  fprintf(stderr, "%s: %s\n", s->argv[0], strerror(errno));
  _exit(127);
}

static void launch(struct service *s) {
  s->pid = fork();
  if (s->pid == 0) become(s);
  s->started_ms = now_ms();
  if (s->pid > 0) {
    s->state = RUNNING;
  } else {
    s->state = WAITING;
    s->due_ms = s->started_ms + s->backoff_ms;
  }
}

static void ended(struct service *s, int status) {
  int64_t now = now_ms();
  s->wait_status = status;
  s->pid = 0;
  if (s->state == STOPPING || !s->always) {
    s->state = STOPPED;
    return;
  }
  if (now - s->started_ms >= STEADY_MS) s->backoff_ms = BACKOFF_MS_MIN;
  s->state = WAITING;
  s->due_ms = now + s->backoff_ms;
  s->backoff_ms = s->backoff_ms * 2 > BACKOFF_MS_MAX ? BACKOFF_MS_MAX : s->backoff_ms * 2;
  s->restarts++;
}

static void reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    for (size_t i = 0; i < service_count; i++)
      if (services[i].pid == pid) ended(&services[i], status);
  }
}

/* Starts and kills what is due; returns the milliseconds until the next due time, or -1. */
static int run_due(void) {
  int64_t now = now_ms(), next = -1;
  for (size_t i = 0; i < service_count; i++) {
    struct service *s = &services[i];
    if (s->state != WAITING && s->state != STOPPING) continue;
    if (s->due_ms <= now && s->state == WAITING) launch(s);
    else if (s->due_ms <= now) {
      kill(s->pid, SIGKILL);
      s->due_ms = now + STOP_MS;
    }
    if ((s->state == WAITING || s->state == STOPPING) && (next < 0 || s->due_ms < next)) next = s->due_ms;
  }
  return next < 0 ? -1 : (int)(next > now ? next - now : 0);
}

static struct service *find(const char *name) {
  for (size_t i = 0; i < service_count; i++)
    if (!strcmp(services[i].name, name)) return &services[i];
  return NULL;
}

/* Takes over `request` on success. */
static const char *start(char *request, char **fields, size_t count) {
  if (count < 6) return "error start wants NAME POLICY LOG ENV_COUNT ENV... ARGV...";
  size_t env_count = strtoul(fields[4], NULL, 10);
  if (env_count + 6 > count) return "error no command";
  struct service *s = find(fields[1]);
  if (s && s->state != STOPPED) return "error already running";
  if (!s && service_count == SERVICES_MAX) return "error too many services";
  char **env = calloc(env_count + 1, sizeof *env), **argv = calloc(count - 5 - env_count + 1, sizeof *argv);
  if (!env || !argv) return "error no memory";
  memcpy(env, fields + 5, env_count * sizeof *env);
  memcpy(argv, fields + 5 + env_count, (count - 5 - env_count) * sizeof *argv);
  if (s) {
    free(s->env);
    free(s->argv);
    free(s->request);
  } else {
    s = &services[service_count++];
  }
  *s = (struct service){.request = request, .name = fields[1], .log = fields[3], .env = env, .argv = argv};
  s->always = !strcmp(fields[2], "always");
  s->backoff_ms = BACKOFF_MS_MIN;
  launch(s);
  return "ok";
}

static const char *stop(const char *name) {
  struct service *s = find(name);
  if (!s) return "error no such service";
  if (s->state == WAITING) s->state = STOPPED;
  if (s->state == RUNNING) {
    kill(s->pid, SIGTERM);
    s->state = STOPPING;
    s->due_ms = now_ms() + STOP_MS;
  }
  return "ok";
}

static void answer_status(int fd) {
  for (size_t i = 0; i < service_count; i++) {
    struct service *s = &services[i];
    dprintf(fd, "%s %s %d %u %d\n", s->name, state_names[s->state], (int)s->pid, s->restarts, s->wait_status);
  }
}

static size_t read_request(int fd, char *buffer) {
  size_t length = 0;
  while (length < REQUEST_BYTES_MAX - 1) {
    ssize_t n = read(fd, buffer + length, REQUEST_BYTES_MAX - 1 - length);
    if (n <= 0) break;
    length += (size_t)n;
  }
  buffer[length] = 0;
  return length;
}

static void serve(int fd) {
  /* A client that stalls must not stop the reaping. */
  struct timeval limit = {.tv_sec = 3};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  char *request = malloc(REQUEST_BYTES_MAX), *fields[FIELDS_MAX];
  if (!request) return;
  size_t length = read_request(fd, request), count = 0;
  for (size_t at = 0; at < length && count < FIELDS_MAX; at += strlen(request + at) + 1) fields[count++] = request + at;
  const char *answer = "error unknown request";
  if (count >= 1 && !strcmp(fields[0], "start")) answer = start(request, fields, count);
  else if (count == 2 && !strcmp(fields[0], "stop")) answer = stop(fields[1]);
  else if (count == 1 && !strcmp(fields[0], "status")) answer = NULL;
  if (answer) dprintf(fd, "%s\n", answer);
  else answer_status(fd);
  if (count < 1 || strcmp(fields[0], "start") || strcmp(answer, "ok")) free(request);
}

int listen_on(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) fail_because(path, "path too long for a socket");
  strcpy(address.sun_path, path);
  unlink(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0) fail(path);
  return fd;
}

/* Says that it listens, and drops what the caller left open: every daemon would inherit it. */
static void leave_terminal(int ready_fd, int listener) {
  if (write(ready_fd, "", 1) != 1) fail("ready");
  for (int fd = 3; fd < 256; fd++)
    if (fd != listener) close(fd);
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd <= 2 && null >= 0; fd++) dup2(null, fd);
  if (null > 2) close(null);
}

void supervise(const char *socket_path, int ready_fd) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  int listener = listen_on(socket_path);
  leave_terminal(ready_fd, listener);
  int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  for (;;) {
    struct pollfd polled[2] = {{.fd = signal_fd, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
    poll(polled, 2, run_due());
    struct signalfd_siginfo info;
    while (read(signal_fd, &info, sizeof info) == sizeof info)
      if (info.ssi_signo == SIGTERM) exit(0);
    reap();
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client >= 0) {
      serve(client);
      close(client);
    }
  }
}
