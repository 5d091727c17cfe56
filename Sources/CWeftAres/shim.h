// SPDX-License-Identifier: Apache-2.0
// c-ares of two Debians: what the older one needs is called deprecated by the newer one, and what the newer one adds is no option of the
// older one's.
#pragma once
#define CARES_NO_DEPRECATED
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <ares.h>

// What became of a question: macros in one, an enumeration of its own type in the other.
static const int weft_ares_success = ARES_SUCCESS;
static const int weft_ares_no_data = ARES_ENODATA;
static const int weft_ares_not_found = ARES_ENOTFOUND;
static const int weft_ares_timed_out = ARES_ETIMEOUT;
static const int weft_ares_cancelled = ARES_ECANCELLED;
static const int weft_ares_destroyed = ARES_EDESTRUCTION;

/// Turns off the cache of answers where there is one, since it would hide that a name stands for something else now: the flags to add.
static inline int weft_ares_without_cache(struct ares_options *options)
{
#ifdef ARES_OPT_QUERY_CACHE
    options->qcache_max_ttl = 0;
    return ARES_OPT_QUERY_CACHE;
#else
    (void)options;
    return 0;
#endif
}

/// Whether c-ares can read bytes as a message. A newer one takes those that it can't for its socket's fault, and asks all that was asked
/// by it again, until it gives up.
static inline int weft_ares_can_read(const unsigned char *bytes, size_t count)
{
#if ARES_VERSION >= 0x011600
    ares_dns_record_t *message = NULL;
    if (ares_dns_parse(bytes, count, 0, &message) != ARES_SUCCESS) {
        return 0;
    }
    ares_dns_record_destroy(message);
#else
    (void)bytes;
    (void)count;
#endif
    return 1;
}
