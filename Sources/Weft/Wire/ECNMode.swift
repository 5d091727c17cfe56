// SPDX-License-Identifier: Apache-2.0

/// What the outer header takes of an inner packet's ECN (RFC 6040 section 4.1).
public enum ECNMode: Hashable, Sendable {
    /// Nothing, since the other end may lose a mark: the outer header is Not-ECT.
    case compatibility
    /// All of it.
    case normal
}
