/* Makes the n-th change to a store's files fail: for the test of failing disks. Counts nothing until `arm` is called.
   Modes: 1 EIO, once; 2 ENOSPC, once; 3 half a write, then the rest fails with ENOSPC; 4 EIO from then on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int left, mode, halved;

void arm(int n, int how) { left = n; mode = how; halved = 0; }

static int ours(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return strstr(path, "store.db") != NULL;
}

/* 0: go on; 1: fail */
static int strikes(void) {
    if (left == 0) return 0;
    if (left > 1) { left--; return 0; }
    if (mode != 4) left = 0;
    errno = (mode == 2 || mode == 3) ? ENOSPC : EIO;
    return 1;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(pwrite64);
    if (left && ours(fd)) {
        if (halved) { halved = 0; errno = ENOSPC; return -1; }
        if (strikes()) {
            if (mode == 3 && size > 1) { int e; ssize_t n = real(fd, data, size / 2, at); e = errno; halved = 1; left = 0; errno = e; return n; }
            return -1;
        }
    }
    return real(fd, data, size, at);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }
ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    if (left && ours(fd) && strikes()) return -1;
    return real(fd, data, size);
}
int fsync(int fd) { REAL(fsync); if (left && ours(fd) && strikes()) return -1; return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); if (left && ours(fd) && strikes()) return -1; return real(fd); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); if (left && ours(fd) && strikes()) return -1; return real(fd, size); }
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int unlink(const char *path) { REAL(unlink); if (left && strstr(path, "store.db") && strikes()) return -1; return real(path); }
int rename(const char *from, const char *to) { REAL(rename); if (left && strstr(from, "store.db") && strikes()) return -1; return real(from, to); }
