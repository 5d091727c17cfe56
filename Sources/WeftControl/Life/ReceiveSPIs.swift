// SPDX-License-Identifier: Apache-2.0

/// The SPIs that we receive from one peer with, from session to session.
struct ReceiveSPIs {
    /// As many as an engine keeps SAs.
    private static let mostEarlier = 64

    private let role: Role
    private let isICX: Bool
    private var allocator: SPIAllocator
    /// The last one given out in this session.
    private var last: UInt32?
    /// Those that were given out last in earlier sessions, or opened when we began.
    private var earlier: [UInt32] = []

    init(role: Role, isICX: Bool) {
        self.role = role
        self.isICX = isICX
        allocator = SPIAllocator(role: role)
    }

    /// None of the SPIs that an engine opens with, from before we began, is given out again.
    mutating func resume(_ opening: [UInt32]) {
        allocator = SPIAllocator(role: role, above: opening)
        earlier = opening
    }

    /// Another session begins. Towards ICX SPIs go on, so that an old SA on its way out keeps its number; between Weft's ends
    /// each session begins at random, far from those of before.
    mutating func begin() {
        if !isICX {
            if let last { earlier = earlier.suffix(Self.mostEarlier - 1) + [last] }
            last = nil
            allocator = SPIAllocator(role: role, apartFrom: earlier)
        } else if allocator.isHalfUsed {
            allocator = SPIAllocator(role: role)
        }
    }

    mutating func next() throws(SPIError) -> SPI {
        let spi = try allocator.next()
        last = spi.rawValue
        return spi
    }
}
