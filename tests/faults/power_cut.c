/* A power cut for tests: what is written to an append-only file stays in memory until it is synced, so that kill -9 loses the rest.
   Loaded into the store's server with LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_FILES 4096
#define SUFFIX ".incr.aof"

struct held { char *bytes; size_t length, room; int watched; };
static struct held files[MOST_FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static void watch(int fd, const char *path) {
  size_t length = strlen(path), suffix = strlen(SUFFIX);
  if (fd >= 0 && fd < MOST_FILES)
    files[fd].watched = length >= suffix && strcmp(path + length - suffix, SUFFIX) == 0;
}

static int is_watched(int fd) { return fd >= 0 && fd < MOST_FILES && files[fd].watched; }

static void put_down(int fd) {
  ssize_t (*real_write)(int, const void *, size_t) = real("write");
  struct held *file = &files[fd];
  for (size_t done = 0; done < file->length;) {
    ssize_t written = real_write(fd, file->bytes + done, file->length - done);
    if (written < 0) abort();
    done += (size_t)written;
  }
  file->length = 0;
}

int open64(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  int fd = ((int (*)(const char *, int, ...))real("open64"))(path, flags, mode);
  watch(fd, path);
  return fd;
}

int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  int fd = ((int (*)(const char *, int, ...))real("open"))(path, flags, mode);
  watch(fd, path);
  return fd;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  if (!is_watched(fd)) return ((ssize_t (*)(int, const void *, size_t))real("write"))(fd, bytes, length);
  pthread_mutex_lock(&lock);
  struct held *file = &files[fd];
  if (file->length + length > file->room) {
    file->room = 2 * (file->length + length);
    if (!(file->bytes = realloc(file->bytes, file->room))) abort();
  }
  memcpy(file->bytes + file->length, bytes, length);
  file->length += length;
  pthread_mutex_unlock(&lock);
  return (ssize_t)length;
}

static int synced(int fd, const char *name) {
  if (is_watched(fd)) {
    pthread_mutex_lock(&lock);
    put_down(fd);
    pthread_mutex_unlock(&lock);
  }
  return ((int (*)(int))real(name))(fd);
}

int fsync(int fd) { return synced(fd, "fsync"); }
int fdatasync(int fd) { return synced(fd, "fdatasync"); }

int close(int fd) {
  if (is_watched(fd)) {
    pthread_mutex_lock(&lock);
    put_down(fd);
    files[fd].watched = 0;
    pthread_mutex_unlock(&lock);
  }
  return ((int (*)(int))real("close"))(fd);
}
