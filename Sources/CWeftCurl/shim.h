// SPDX-License-Identifier: Apache-2.0
// libcurl sets and tells everything by functions of variable arguments, which Swift can't import: here they are by type.
#pragma once
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

typedef size_t (*weft_curl_sink)(char *bytes, size_t one, size_t count, void *context);

static inline CURLcode weft_curl_set_number(CURL *handle, CURLoption option, long value)
{
    return curl_easy_setopt(handle, option, value);
}

/// libcurl copies the text; NULL takes a default away.
static inline CURLcode weft_curl_set_text(CURL *handle, CURLoption option, const char *value)
{
    return curl_easy_setopt(handle, option, value);
}

/// Libcurl keeps the pointer: a buffer, a context or a list, which must outlive the transfer.
static inline CURLcode weft_curl_set_pointer(CURL *handle, CURLoption option, void *value)
{
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode weft_curl_set_sink(CURL *handle, weft_curl_sink sink)
{
    return curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, sink);
}

static inline CURLcode weft_curl_get_number(CURL *handle, CURLINFO info, long *value)
{
    return curl_easy_getinfo(handle, info, value);
}

/// What a finished transfer came to; CURLE_OK where there is none.
static inline CURLcode weft_curl_result(CURLM *multi, int *finished)
{
    int rest;
    CURLMsg *message = curl_multi_info_read(multi, &rest);
    *finished = message && message->msg == CURLMSG_DONE;
    return *finished ? message->data.result : CURLE_OK;
}
