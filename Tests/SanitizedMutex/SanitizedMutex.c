// SPDX-License-Identifier: Apache-2.0
// Shows the thread sanitizer how Swift's Mutex works. Taking a free Mutex is inlined into our code, and the sanitizer
// sees it; waiting for a held one goes on in the standard library, which isn't built for the sanitizer, and in the
// kernel, which hands the lock over. The sanitizer then misses that the next owner comes after the last one, and calls
// every guarded access a race. So with it, and only then, this waits instead, in the open.
#include "SanitizedMutex.h"

#if !defined(__has_feature)
#define __has_feature(feature) 0
#endif

#if __has_feature(thread_sanitizer)

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

/// Synchronization._MutexHandle._lockSlow(_: UInt32): the word holds the owner's thread number, 0 when free.
__attribute__((swiftcall)) void weft_mutex_wait(
    uint32_t self, __attribute__((swift_context)) _Atomic(uint32_t) *word)
    __asm__("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");

__attribute__((swiftcall)) void weft_mutex_wait(
    uint32_t self, __attribute__((swift_context)) _Atomic(uint32_t) *word) {
    for (;;) {
        uint32_t expected = 0;
        if (atomic_compare_exchange_strong_explicit(
                word, &expected, self, memory_order_acquire, memory_order_relaxed)) return;
        // A thread that waits for itself waits for ever; the standard library traps here, too.
        if (expected == self) abort();
        sched_yield();
    }
}

#endif
