/*
 * Process 1 of a host that is a virtual machine: it begins in the initramfs, loads what the root disk needs, enters the
 * root, opens the way in from outside (control network) and becomes the supervisor of services.
 *
 * Kernel command line: plimsoll.name=HOST plimsoll.control=A.B.C.D (eth2, /24).
 */
#define _GNU_SOURCE
#include "early.h"
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char host_name[64], control_address[16];

static void take_setting(char *word) {
  if (sscanf(word, "plimsoll.name=%63s", host_name) == 1) return;
  sscanf(word, "plimsoll.control=%15[0-9.]", control_address);
}

/* The root replaces the initramfs for this process, and so for the kernel's own helpers, which share its root. */
static void enter_root(void) {
  mount_at("/dev/vda", "/root", "ext4", MS_NOATIME, NULL);
  const char *const moved[] = {"/proc", "/sys", "/dev"};
  for (int i = 0; i < 3; i++) {
    char path[32];
    snprintf(path, sizeof path, "/root%s", moved[i]);
    if (mount(moved[i], path, NULL, MS_MOVE, NULL) != 0) perror(path);
  }
  if (chdir("/root") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0) perror("root");
}

static void mount_rest(void) {
  mount_at("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
  mount_at("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, NULL);
  mount_at("devpts", "/dev/pts", "devpts", 0, "mode=620,ptmxmode=666");
  mount_at("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, NULL);
  mount_at("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL);
  /* Programs that do not change while a lab is up, and the sources of this start. */
  mount_at("/dev/vdc", "/opt/plimsoll", "ext4", MS_RDONLY, NULL);
  mount_at("/dev/vdb", "/opt/programs", "ext4", MS_RDONLY, NULL);
  mkdir("/run/lock", 0755);
  /* devtmpfs has the devices; these names are the boot's to make. */
  static const char *const links[][2] = {
      {"/proc/self/fd", "/dev/fd"}, {"/dev/fd/0", "/dev/stdin"}, {"/dev/fd/1", "/dev/stdout"}, {"/dev/fd/2", "/dev/stderr"}};
  for (int i = 0; i < 4; i++)
    if (symlink(links[i][0], links[i][1]) != 0) perror(links[i][1]);
}

static void shell(const char *script) {
  int status = system(script);
  if (status != 0) fprintf(stderr, "lab-init: '%s' ended with status %d\n", script, status);
}

/* Never returns in the child. */
static void in_child(int (*command)(int, char **), int argc, char **argv) {
  pid_t pid = fork();
  if (pid < 0) perror("fork");
  if (pid != 0) return;
  setsid();
  exit(command(argc, argv));
}

/* The ports that lab/vm/control.ts knows. */
static void open_control(void) {
  static char *const sockets[] = {"/run/lab-init.sock", "/run/lab-commands.sock", "/run/libvirt/libvirt-sock", "/run/charon.vici"};
  enum { COUNT = 4, FIRST_PORT = 1001 };
  static char text[2 * COUNT][128];
  char *pairs[2 * COUNT];
  for (int i = 0; i < COUNT; i++) {
    snprintf(text[2 * i], sizeof *text, "tcp:%s:%d", control_address, FIRST_PORT + i);
    snprintf(text[2 * i + 1], sizeof *text, "unix:%s", sockets[i]);
    pairs[2 * i] = text[2 * i];
    pairs[2 * i + 1] = text[2 * i + 1];
  }
  in_child(command_commands, 1, (char *[]){sockets[1], NULL});
  in_child(command_relay, 2 * COUNT, pairs);
}

int command_host(void) {
  mount_kernel_folders();
  each_boot_word(take_setting);
  load_modules();
  enter_root();
  mount_rest();
  setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
  setenv("HOME", "/root", 1);
  setenv("LC_ALL", "C.UTF-8", 1);
  if (sethostname(host_name, strlen(host_name)) != 0) perror("sethostname");
  char script[256];
  snprintf(script, sizeof script, "ip link set lo up; ip addr add %s/24 dev eth2; ip link set eth2 up", control_address);
  shell(script);
  open_control();
  printf("plimsoll host: %s is up\n", host_name);
  fflush(stdout);
  supervise("/run/lab-init.sock", open("/dev/null", O_WRONLY | O_CLOEXEC));
}
