// SPDX-License-Identifier: Apache-2.0
// A network namespace of a process' own, made by somebody who isn't root.
//
// A process with several threads can't enter a user namespace, and one that has entered it can't come back. So another process,
// the keeper, lives in there: it makes the TUN device and each socket that is asked for, and hands them out. It is a copy of the
// process that started it, which may have threads, and so makes system calls only. It ends when the other end of its socket is
// closed.
#pragma once
#include <stdint.h>
#include <sys/types.h>

/// What a request asks for.
enum weft_private_kind {
    /// Queues of a TUN device: `text` names it, `type` are its flags, `number` how many.
    WEFT_PRIVATE_TUN = 1,
    /// A socket: `domain`, `type` and `protocol`; bound to `address` where that has a length.
    WEFT_PRIVATE_SOCKET,
    /// What stands in the file `text`, at most the reply's `text`.
    WEFT_PRIVATE_READ,
    /// Writes what follows the first zero byte of `text` to the file before it.
    WEFT_PRIVATE_WRITE,
    /// Starts the command that the keeper was made with; the answer has a descriptor that is readable once it has ended.
    WEFT_PRIVATE_RUN,
    /// Waits for the command's end: `value` is its exit status, or 128 and the signal that ended it.
    WEFT_PRIVATE_WAIT,
    /// Sends the command the signal `number`.
    WEFT_PRIVATE_SIGNAL,
};

/// What failed, before anything could be asked for.
enum weft_private_step {
    WEFT_PRIVATE_READY,
    WEFT_PRIVATE_USER,
    WEFT_PRIVATE_GROUPS,
    WEFT_PRIVATE_USER_MAP,
    WEFT_PRIVATE_GROUP_MAP,
    WEFT_PRIVATE_NETWORK,
    WEFT_PRIVATE_MOUNTS,
    WEFT_PRIVATE_LOOPBACK,
};

struct weft_private_request {
    uint32_t kind;
    int32_t domain, type, protocol;
    uint32_t number;
    uint32_t address_length;
    uint8_t address[32];
    char text[160];
};

struct weft_private_reply {
    /// The errno, or 0.
    int32_t error;
    /// What failed at the start, else what a request says.
    int32_t value;
    char text[96];
};

/// What a keeper runs on request. The memory must stay as it is: the keeper has a copy of it.
struct weft_private_command {
    /// An absolute path.
    const char *program;
    char *const *arguments;
    char *const *environment;
    /// Files that stand for others' in the command's eyes: an existing folder on which they are laid, then for each the file's path
    /// and its whole content; a path of NULL ends them.
    const char *folder;
    const struct weft_private_file {
        const char *path;
        const char *content;
    } *files;
    /// An existing folder that the command finds empty; NULL for none.
    const char *hidden;
};

/// Starts a keeper. `socket` gets our end of its SEQPACKET socket, `pidfd` a descriptor that is readable once it has ended. Its first
/// message is a reply: `value` is a step, WEFT_PRIVATE_READY where all went well. Returns 0, or -1 with errno set.
int weft_private_start(const struct weft_private_command *command, int *socket, int *pidfd);

/// Waits for the keeper's end, so that no zombie is left. Returns what waitid(2) does.
int weft_private_reap(int pidfd);
