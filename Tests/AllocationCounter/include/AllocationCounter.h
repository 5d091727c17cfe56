// SPDX-License-Identifier: Apache-2.0
#pragma once

/// How many blocks the calling thread has asked the C library for so far; -1 where a sanitizer has its own allocator.
long weft_allocations(void);

/// Takes away the testing library's handler that sees each error thrown, and allocates for a backtrace of it. No program
/// has one outside tests.
void weft_forget_throw_handler(void);
