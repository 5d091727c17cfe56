// SPDX-License-Identifier: Apache-2.0
// Counts allocations by standing in for the C library's functions: a program's own definitions come first, for the
// libraries that it loads, too. Swift allocates through malloc and posix_memalign.
#include "AllocationCounter.h"

#include <errno.h>
#include <stddef.h>

#if !defined(__has_feature)
#define __has_feature(feature) 0
#endif

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || !defined(__GLIBC__)

long weft_allocations(void) { return -1; }
void weft_forget_throw_handler(void) {}

#else

// Local to the program's own block of thread-local memory, so that reading it never allocates.
static _Thread_local long allocations __attribute__((tls_model("initial-exec")));

long weft_allocations(void) { return allocations; }

// Where the Swift runtime keeps what the testing library wants called for errors, and for typed ones.
extern void *volatile _swift_willThrow __attribute__((weak));
extern void *volatile _swift_willThrowTypedImpl __attribute__((weak));

void weft_forget_throw_handler(void) {
    if (&_swift_willThrow != NULL) _swift_willThrow = NULL;
    if (&_swift_willThrowTypedImpl != NULL) _swift_willThrowTypedImpl = NULL;
}

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    allocations++;
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
    allocations++;
    void *memory = __libc_memalign(alignment, size);
    if (memory == NULL) return ENOMEM;
    *block = memory;
    return 0;
}

#endif
