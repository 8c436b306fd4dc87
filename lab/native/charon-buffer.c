/*
 * Preloaded into the lab's charon: a larger receive buffer for its UDP sockets.
 *
 * charon's kernel-libipsec receives ESP in user space; with the default buffer of 208 KiB bursts overflow it (149,744 packets
 * dropped in five migrations; none with 4 MiB). charon has no option for it, and raising net.core.rmem_default would change
 * the whole machine. Nothing is needed where the kernel does ESP.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/socket.h>

int socket(int domain, int type, int protocol) {
  static int (*real)(int, int, int);
  if (!real) real = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
  int fd = real(domain, type, protocol);
  if (fd >= 0 && (domain == AF_INET || domain == AF_INET6) && (type & 0xf) == SOCK_DGRAM) {
    int bytes = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
  }
  return fd;
}
