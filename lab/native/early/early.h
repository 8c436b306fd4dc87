/* What process 1 of a virtual machine does first, in a guest of the lab as in a host that is a virtual machine. */
#ifndef LAB_EARLY_H
#define LAB_EARLY_H

/* Says so on stderr when it fails, and goes on: what is missing shows later. Makes the folder when it is missing. */
void mount_at(const char *source, const char *path, const char *type, unsigned long flags, const char *options);

/* /dev, /proc and /sys, which the two below need. */
void mount_kernel_folders(void);

/* The modules that the image brings in /modules. */
void load_modules(void);

/* Calls `take` with each word of the kernel command line, which it may change. */
void each_boot_word(void (*take)(char *word));

#endif
