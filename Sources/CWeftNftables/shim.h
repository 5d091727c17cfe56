// SPDX-License-Identifier: Apache-2.0
// What of libnftables(3) is used. Its own header defines _GNU_SOURCE, and so can't be imported beside one that doesn't.
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nf_tables.h>
#include <stdint.h>

struct nft_ctx;

struct nft_ctx *nft_ctx_new(uint32_t flags);
void nft_ctx_free(struct nft_ctx *context);
void nft_ctx_output_set_flags(struct nft_ctx *context, unsigned int flags);
int nft_ctx_buffer_output(struct nft_ctx *context);
const char *nft_ctx_get_output_buffer(struct nft_ctx *context);
int nft_ctx_buffer_error(struct nft_ctx *context);
const char *nft_ctx_get_error_buffer(struct nft_ctx *context);
int nft_run_cmd_from_buffer(struct nft_ctx *context, const char *buffer);

/// NFT_CTX_OUTPUT_STATELESS, NFT_CTX_OUTPUT_NUMERIC_PRIO and NFT_CTX_OUTPUT_NUMERIC_SYMBOL: no counters' values, and numbers
/// rather than names that files of the host give them.
enum { WEFT_NFT_STABLE_OUTPUT = 1 << 2 | 1 << 8 | 1 << 9 };
