// SPDX-License-Identifier: Apache-2.0
#pragma once
// Nothing to call: being linked is enough. SanitizedMutex.c says why it is there.
