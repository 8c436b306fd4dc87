/*
 * Joins sockets: what connects to FROM talks to TO. A pair of relays, one outside a host and one inside, makes the Unix
 * sockets of the host's daemons reachable from outside. Each direction is closed by itself, as the protocols over it do.
 */
#define _GNU_SOURCE
#include "init.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAIRS_MAX = 16, BUFFER_BYTES = 64 * 1024 };

union address {
  struct sockaddr any;
  struct sockaddr_un local;
  struct sockaddr_in tcp;
};

/* "unix:PATH" or "tcp:A.B.C.D:PORT" */
static socklen_t parse_address(const char *text, union address *out) {
  memset(out, 0, sizeof *out);
  if (!strncmp(text, "unix:", 5)) {
    if (strlen(text + 5) >= sizeof out->local.sun_path) fail_because(text, "path too long for a socket");
    out->local.sun_family = AF_UNIX;
    strcpy(out->local.sun_path, text + 5);
    return sizeof out->local;
  }
  char ip[INET_ADDRSTRLEN] = "";
  unsigned port = 0;
  if (sscanf(text, "tcp:%15[0-9.]:%u", ip, &port) != 2 || inet_pton(AF_INET, ip, &out->tcp.sin_addr) != 1)
    fail_because(text, "want unix:PATH or tcp:A.B.C.D:PORT");
  out->tcp.sin_family = AF_INET;
  out->tcp.sin_port = htons((uint16_t)port);
  return sizeof out->tcp;
}

static int listen_at(const char *text) {
  union address address;
  socklen_t length = parse_address(text, &address);
  if (address.any.sa_family == AF_UNIX) unlink(address.local.sun_path);
  int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (fd < 0 || bind(fd, &address.any, length) != 0 || listen(fd, 64) != 0) fail(text);
  return fd;
}

struct direction {
  int from, to;
  char data[BUFFER_BYTES];
  size_t start, end;
  int open;
};

static void move_bytes(struct direction *d, short from_events, short to_events) {
  if (d->start == d->end && (from_events & (POLLIN | POLLHUP | POLLERR))) {
    ssize_t n = read(d->from, d->data, sizeof d->data);
    if (n > 0) {
      d->start = 0;
      d->end = (size_t)n;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
      d->open = 0;
      shutdown(d->to, SHUT_WR);
    }
  }
  if (d->start < d->end && (to_events & (POLLOUT | POLLHUP | POLLERR))) {
    ssize_t n = send(d->to, d->data + d->start, d->end - d->start, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) d->start += (size_t)n;
    else if (errno != EAGAIN && errno != EINTR) exit(0); /* nobody listens any more: both ends shall know */
  }
}

static void forward(int client, const char *to) {
  static struct direction up, down;
  union address address;
  socklen_t length = parse_address(to, &address);
  int server = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (server < 0 || connect(server, &address.any, length) != 0) exit(0);
  up = (struct direction){.from = client, .to = server, .open = 1};
  down = (struct direction){.from = server, .to = client, .open = 1};
  while (up.open || down.open) {
    int up_full = up.start < up.end, down_full = down.start < down.end;
    struct pollfd polled[2] = {
        {.fd = client, .events = (short)((up.open && !up_full ? POLLIN : 0) | (down_full ? POLLOUT : 0))},
        {.fd = server, .events = (short)((down.open && !down_full ? POLLIN : 0) | (up_full ? POLLOUT : 0))},
    };
    /* A hang-up cannot be masked: what is asked about nothing is left out. */
    for (int i = 0; i < 2; i++)
      if (!polled[i].events) polled[i].fd = -1;
    if (poll(polled, 2, -1) < 0 && errno != EINTR) break;
    if (up.open) move_bytes(&up, polled[0].revents, polled[1].revents);
    if (down.open) move_bytes(&down, polled[1].revents, polled[0].revents);
  }
  exit(0);
}

int command_relay(int argc, char **argv) {
  struct pollfd listeners[PAIRS_MAX];
  int pairs = argc / 2;
  if (argc % 2 || pairs < 1 || pairs > PAIRS_MAX) fail_because("relay", "want FROM TO [FROM TO]...");
  for (int i = 0; i < pairs; i++) listeners[i] = (struct pollfd){.fd = listen_at(argv[2 * i]), .events = POLLIN};
  signal(SIGCHLD, SIG_IGN); /* the kernel reaps */
  for (;;) {
    if (poll(listeners, (nfds_t)pairs, -1) < 0) continue;
    for (int i = 0; i < pairs; i++) {
      int client = listeners[i].revents ? accept4(listeners[i].fd, NULL, NULL, SOCK_CLOEXEC) : -1;
      if (client < 0) continue;
      pid_t child = fork();
      if (child == 0) {
        for (int k = 0; k < pairs; k++) close(listeners[k].fd);
        forward(client, argv[2 * i + 1]);
      }
      close(client);
    }
  }
}
