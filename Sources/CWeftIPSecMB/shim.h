// SPDX-License-Identifier: Apache-2.0
#include <intel-ipsec-mb.h>

#if IMB_VERSION_NUM >= 0x20000
// Since version 2 no processor is told by it.
static const IMB_ARCH IMB_ARCH_AVX = IMB_ARCH_NUM;
#endif
