// SPDX-License-Identifier: Apache-2.0
import Weft

/// How others see our socket in one address family.
public struct Mapping: Hashable, Sendable {
    /// Our public endpoint, as the first server that answered sees it.
    public let endpoint: Endpoint
    /// Whether different destinations see different endpoints; nil when only one server answered.
    public let dependsOnDestination: Bool?

    init(seen: [Endpoint]) {
        endpoint = seen[0]
        dependsOnDestination = seen.count < 2 ? nil : Set(seen).count > 1
    }
}
