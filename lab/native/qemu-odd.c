/*
 * The lab's <emulator>: QEMU with a RAM size that is not a multiple of 256 KiB.
 *
 * QEMU 7.2 without KVM (TCG) loses guest writes during pre-copy: libvirt reports success and the guest panics or hangs on
 * the destination (a guest that writes 30 MB/s: in the first migration). With a RAM size that is not a multiple of 256 KiB
 * QEMU takes its slow path for reading the dirty bitmap, which flushes TCG's address cache: 61 of 61 migrations were fine.
 * libvirt rounds memory to MiB, so the domain's XML cannot say it. Both sides of a migration must use this wrapper.
 * It is a fault of TCG, not of KVM; nothing outside the lab needs this.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QEMU "/usr/bin/qemu-system-x86_64"
enum { EXTRA_KIB = 8 };

static char *print(const char *format, const char *before, int before_length, unsigned long long number, const char *after) {
  size_t size = strlen(before) + strlen(after) + 64;
  char *text = malloc(size);
  if (text) snprintf(text, size, format, before_length, before, number, after);
  return text;
}

/* -m 96 | -m size=98304k,slots=... */
static char *odd_memory(char *value) {
  char *end;
  if (!strncmp(value, "size=", 5)) {
    unsigned long long kib = strtoull(value + 5, &end, 10);
    return *end == 'k' ? print("%.*s%llu%s", "size=", 5, kib + EXTRA_KIB, end) : value;
  }
  unsigned long long mib = strtoull(value, &end, 10);
  return end != value && !*end ? print("%.*s%llu%s", "", 0, mib * 1024 + EXTRA_KIB, "k") : value;
}

/* -object {"qom-type":"memory-backend-ram","id":"pc.ram","size":100663296} */
static char *odd_object(char *value) {
  static const char key[] = "\"size\":";
  char *size = strstr(value, key), *end;
  if (!size || !strstr(value, "\"id\":\"pc.ram\"")) return value;
  size += sizeof key - 1;
  unsigned long long bytes = strtoull(size, &end, 10);
  return print("%.*s%llu%s", value, (int)(size - value), bytes + EXTRA_KIB * 1024ULL, end);
}

int main(int argc, char **argv) {
  for (int i = 1; i + 1 < argc; i++) {
    if (!strcmp(argv[i], "-m")) argv[i + 1] = odd_memory(argv[i + 1]);
    else if (!strcmp(argv[i], "-object")) argv[i + 1] = odd_object(argv[i + 1]);
    else continue;
    if (!argv[i + 1]) return 71;
  }
  argv[0] = (char *)QEMU;
  execv(QEMU, argv);
  fprintf(stderr, "qemu-odd: %s: %s\n", QEMU, strerror(errno));
  return 127;
}
