// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "SteppedClock.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int get_time(clockid_t clock, struct timespec *time);

static get_time *kernels;
// As long as the file is; what is written there is seen here.
static const char *file;

static void prepare(void) {
    int descriptor;
    kernels = (get_time *)dlsym(RTLD_NEXT, "clock_gettime");
    descriptor = open("/etc/stepped-clock", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return;
    }
    void *mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (mapped != MAP_FAILED) {
        file = mapped;
    }
}

// Before the program's first thread has a second one beside it.
__attribute__((constructor)) static void start(void) {
    if (kernels == NULL) {
        prepare();
    }
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result;
    // Who asks in a constructor may come first.
    start();
    result = kernels(clock, time);
    if (result == 0 && file != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)) {
        time->tv_sec += strtol(file, NULL, 10);
    }
    return result;
}

int gettimeofday(struct timeval *time, void *zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return -1;
    }
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *place) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return -1;
    }
    if (place != NULL) {
        *place = now.tv_sec;
    }
    return now.tv_sec;
}
