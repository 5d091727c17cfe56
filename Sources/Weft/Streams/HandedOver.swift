// SPDX-License-Identifier: Apache-2.0

/// What became of a part of a batch.
struct HandedOver {
    var taken = 0
    var strangers = 0
    var overLimit = 0
}
