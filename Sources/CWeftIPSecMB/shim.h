// SPDX-License-Identifier: Apache-2.0
#include <intel-ipsec-mb.h>
