/*
 * Runs commands for who connects to a Unix socket: one connection, one command.
 *
 * Frames in both directions: a letter, the length (4 bytes, big endian), the data.
 *   in:  A argv, each field ends with a NUL byte (first frame) | I standard input | E its end
 *   out: O standard output | R standard error | X exit code (4 bytes), the last one
 * The command has a process group of its own, which is killed when the connection goes before the command ends.
 */
#define _GNU_SOURCE
#include "init.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAME_BYTES_MAX = 64 * 1024, FIELDS_MAX = 512 };

struct command {
  pid_t pid;
  int client, input, output, error;
};

static void end_command(const struct command *c) {
  if (c->pid > 0) kill(-c->pid, SIGKILL);
  exit(0);
}

static int read_all(int fd, void *to, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t n = read(fd, (char *)to + done, length - done);
    if (n == 0 || (n < 0 && errno != EINTR)) return 0;
    if (n > 0) done += (size_t)n;
  }
  return 1;
}

static int write_all(int fd, const void *from, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t n = write(fd, (const char *)from + done, length - done);
    if (n < 0 && errno != EINTR) return 0;
    if (n > 0) done += (size_t)n;
  }
  return 1;
}

/* Returns the letter, 0 when the client is gone or talks nonsense. The data ends with a NUL byte of ours. */
static char read_frame(int fd, char *data, size_t *length) {
  unsigned char head[5];
  if (!read_all(fd, head, sizeof head)) return 0;
  *length = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
  if (*length > FRAME_BYTES_MAX || !read_all(fd, data, *length)) return 0;
  data[*length] = 0;
  return (char)head[0];
}

static void send_frame(const struct command *c, char letter, const void *data, uint32_t length) {
  unsigned char head[5] = {(unsigned char)letter};
  uint32_t big = htonl(length);
  memcpy(head + 1, &big, sizeof big);
  if (!write_all(c->client, head, sizeof head) || !write_all(c->client, data, length)) end_command(c);
}

static void launch(struct command *c, char **argv) {
  int in[2], out[2], err[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) exit(1);
  c->pid = fork();
  if (c->pid == 0) {
    setpgid(0, 0);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    execvp(argv[0], argv);
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
  }
  setpgid(c->pid, c->pid);
  close(in[0]);
  close(out[1]);
  close(err[1]);
  c->input = in[1];
  c->output = out[0];
  c->error = err[0];
}

/* A command that does not read holds its client up, and nobody else: each connection has a process. */
static void take_input(struct command *c, char *data) {
  size_t length;
  char letter = read_frame(c->client, data, &length);
  if (letter == 'I' && c->input >= 0 && !write_all(c->input, data, length) && errno != EPIPE) end_command(c);
  if (letter == 'E' && c->input >= 0) {
    close(c->input);
    c->input = -1;
  }
  if (letter != 'I' && letter != 'E') end_command(c);
}

static void pass_output(const struct command *c, int *fd, char letter, char *data) {
  ssize_t n = read(*fd, data, FRAME_BYTES_MAX);
  if (n > 0) {
    send_frame(c, letter, data, (uint32_t)n);
  } else if (n == 0 || errno != EINTR) {
    close(*fd);
    *fd = -1;
  }
}

static void serve_command(int client) {
  static char data[FRAME_BYTES_MAX + 1];
  char *argv[FIELDS_MAX + 1];
  size_t length, count = 0;
  struct command c = {.client = client};
  if (read_frame(client, data, &length) != 'A') exit(1);
  for (size_t at = 0; at < length && count < FIELDS_MAX; at += strlen(data + at) + 1) argv[count++] = data + at;
  if (count == 0) exit(1);
  argv[count] = NULL;
  launch(&c, argv);
  while (c.output >= 0 || c.error >= 0) {
    struct pollfd polled[3] = {{.fd = client, .events = POLLIN}, {.fd = c.output, .events = POLLIN}, {.fd = c.error, .events = POLLIN}};
    if (poll(polled, 3, -1) < 0) continue;
    if (polled[1].revents) pass_output(&c, &c.output, 'O', data);
    if (polled[2].revents) pass_output(&c, &c.error, 'R', data);
    if (polled[0].revents) take_input(&c, data);
  }
  int status = 0;
  while (waitpid(c.pid, &status, 0) < 0 && errno == EINTR) continue;
  uint32_t code = htonl((uint32_t)(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)));
  send_frame(&c, 'X', &code, sizeof code);
  exit(0);
}

int command_commands(int argc, char **argv) {
  if (argc != 1) fail_because("commands", "want SOCKET");
  int listener = listen_on(argv[0]);
  signal(SIGCHLD, SIG_IGN); /* the kernel reaps the servers; each of them waits for its command */
  signal(SIGPIPE, SIG_IGN);
  for (;;) {
    struct pollfd polled = {.fd = listener, .events = POLLIN};
    poll(&polled, 1, -1);
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) continue;
    if (fork() == 0) {
      close(listener);
      signal(SIGCHLD, SIG_DFL);
      serve_command(client);
    }
    close(client);
  }
}
