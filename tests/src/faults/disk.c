/* Makes calls fail that concern files below one folder. It is loaded into a node before the C library (LD_PRELOAD).
 *
 * CHAT_FAULTS names a file that the test writes while the node runs: an array of the rules below. Both have it in memory, so
 * a look at it is no call that could fail. CHAT_FAULTS_FOLDER names the folder. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* As `Call` in faults.rs. */
enum { OPEN = 1, OPEN_TO_WRITE = 2, READ = 4, WRITE = 8, SYNC = 16, TRUNCATE = 32, RENAME = 64, UNLINK = 128, MAP = 256, LOCK = 512 };

/* A write that takes half of the bytes, and fails when there is only one. */
enum { SHORT = -1 };

/* As `Rule` in faults.rs. */
struct rule {
    uint32_t calls;
    int32_t error;
    /* How many calls fail, at most. */
    uint32_t times;
    /* How many failed. */
    uint32_t hits;
    /* The end of the names of the files. */
    char end[16];
};

enum { RULES = 4 };

static struct rule *rules;
static char folder[PATH_MAX];
static size_t folder_length;

#define NEXT(name)                                     \
    static __typeof__(name) *next;                          \
    if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("CHAT_FAULTS"), *where = getenv("CHAT_FAULTS_FOLDER");
    if (!file || !where || strlen(where) >= sizeof folder) return;
    int fd = open64(file, O_RDWR | O_CLOEXEC);
    if (fd < 0) abort();
    void *shared = mmap64(NULL, RULES * sizeof(struct rule), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) abort();
    close(fd);
    strcpy(folder, where);
    folder_length = strlen(folder);
    rules = shared;
}

static int ends_with(const char *path, const char *end) {
    size_t length = strnlen(end, sizeof rules->end), all = strlen(path);
    return length <= all && memcmp(path + all - length, end, length) == 0;
}

/* The error that a call with this file is to report; 0: none. */
static int fault(uint32_t call, const char *path) {
    if (!rules || strncmp(path, folder, folder_length) != 0) return 0;
    for (int i = 0; i < RULES; i++) {
        struct rule *rule = &rules[i];
        if (!(__atomic_load_n(&rule->calls, __ATOMIC_ACQUIRE) & call) || !ends_with(path, rule->end)) continue;
        if (__atomic_fetch_add(&rule->hits, 1, __ATOMIC_SEQ_CST) < rule->times) return rule->error;
        __atomic_fetch_sub(&rule->hits, 1, __ATOMIC_SEQ_CST);
    }
    return 0;
}

static int is_asked(uint32_t call) {
    if (!rules) return 0;
    for (int i = 0; i < RULES; i++)
        if (__atomic_load_n(&rules[i].calls, __ATOMIC_ACQUIRE) & call) return 1;
    return 0;
}

static int fault_of(uint32_t call, int fd) {
    if (fd < 0 || !is_asked(call)) return 0;
    char name[64], path[PATH_MAX];
    int before = errno;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = 0;
    return fault(call, path);
}

#define FAIL_IF(error)            \
    do {                          \
        int found = (error);      \
        if (found) {              \
            errno = found;        \
            return -1;            \
        }                         \
    } while (0)

static int fault_of_open(const char *path, int flags) {
    uint32_t call = (flags & O_ACCMODE) == O_RDONLY ? OPEN : OPEN | OPEN_TO_WRITE;
    return is_asked(call) ? fault(call, path) : 0;
}

#define MODE(flags)                                    \
    mode_t mode = 0;                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {             \
        va_list rest;                                  \
        va_start(rest, flags);                         \
        mode = va_arg(rest, mode_t);                   \
        va_end(rest);                                  \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    NEXT(open);
    FAIL_IF(fault_of_open(path, flags));
    return next(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    NEXT(open64);
    FAIL_IF(fault_of_open(path, flags));
    return next(path, flags, mode);
}

ssize_t read(int fd, void *bytes, size_t length) {
    NEXT(read);
    FAIL_IF(fault_of(READ, fd));
    return next(fd, bytes, length);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset) {
    NEXT(pread64);
    FAIL_IF(fault_of(READ, fd));
    return next(fd, bytes, length, offset);
}

/* Returns how many bytes a write may take. */
static ssize_t room(int fd, size_t length) {
    int error = fault_of(WRITE, fd);
    if (error == 0) return length;
    if (error == SHORT && length > 1) return length / 2;
    errno = error == SHORT ? ENOSPC : error;
    return -1;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    NEXT(write);
    ssize_t most = room(fd, length);
    return most < 0 ? -1 : next(fd, bytes, most);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    NEXT(pwrite64);
    ssize_t most = room(fd, length);
    return most < 0 ? -1 : next(fd, bytes, most, offset);
}

int fsync(int fd) {
    NEXT(fsync);
    FAIL_IF(fault_of(SYNC, fd));
    return next(fd);
}

int fdatasync(int fd) {
    NEXT(fdatasync);
    FAIL_IF(fault_of(SYNC, fd));
    return next(fd);
}

int ftruncate64(int fd, off64_t length) {
    NEXT(ftruncate64);
    FAIL_IF(fault_of(TRUNCATE, fd));
    return next(fd, length);
}

int rename(const char *from, const char *to) {
    NEXT(rename);
    FAIL_IF(is_asked(RENAME) ? fault(RENAME, to) : 0);
    return next(from, to);
}

int unlink(const char *path) {
    NEXT(unlink);
    FAIL_IF(is_asked(UNLINK) ? fault(UNLINK, path) : 0);
    return next(path);
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
    NEXT(mmap64);
    int error = fault_of(MAP, fd);
    if (error) {
        errno = error;
        return MAP_FAILED;
    }
    return next(at, length, protection, flags, fd, offset);
}

static int is_lock(int command) {
    return command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
}

int fcntl(int fd, int command, ...) {
    NEXT(fcntl);
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (is_lock(command)) FAIL_IF(fault_of(LOCK, fd));
    return next(fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
    NEXT(fcntl64);
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (is_lock(command)) FAIL_IF(fault_of(LOCK, fd));
    return next(fd, command, argument);
}
