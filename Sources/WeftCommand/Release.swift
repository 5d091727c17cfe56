// SPDX-License-Identifier: Apache-2.0

/// Which release this is: all programs of one release bear the same number.
package enum Release {
    package static let version = "0.1.0"
}
