// SPDX-License-Identifier: Apache-2.0
// A library that ld.so.preload names gives a test's host a wall clock of its own: as many seconds off as the file
// /etc/stepped-clock says, in decimal, at any moment. It exports clock_gettime, gettimeofday and time in place of the C library's.
#pragma once
