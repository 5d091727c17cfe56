// SPDX-License-Identifier: Apache-2.0
import CWeftBPF
import CWeftTunnelMap
import Glibc
import Weft

extension TunnelMap {
    /// Attaches the classifier to the interface that the overlay's routes point to: what leaves there goes to nexthops.
    ///
    /// Where this map, or one that it took over or replaces, is attached already, the program is swapped without a gap.
    public func attach(to interface: String) throws(TunnelMapError) {
        let found = try Interface(interface)
        guard found.mac != nil else { throw .notEthernet(interface) }
        try attach(egress.raw, at: Attachment.Place(interface: found.index, direction: .egress))
    }

    /// Takes Geneve without a device off what comes in on an underlay's interface, and gives it to the overlay's.
    /// - Parameters:
    ///   - underlay: where nexthops' datagrams come in.
    ///   - overlay: where the packets inside come out, as if they had come in there.
    ///   - verifyingSources: whether the packets inside must come from where their sender is a nexthop.
    public func attachDecapsulation(
        to underlay: String, overlay: String, verifyingSources: Bool = false
    ) throws(TunnelMapError) {
        let from = try Interface(underlay)
        let into = try Interface(overlay)
        guard from.mac != nil else { throw .notEthernet(underlay) }
        guard let mac = into.mac, mac.count == 6 else { throw .notEthernet(overlay) }
        try tables.settings.set(
            0,
            to: weft_settings(
                overlay_interface: into.index, overlay_mac: (mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]),
                flags: verifyingSources ? UInt8(WEFT_SETTING_VERIFY_SOURCES) : 0, reserved: 0))
        try attach(ingress.raw, at: Attachment.Place(interface: from.index, direction: .ingress))
    }

    /// Says which underlay addresses are our own: Geneve to any other is left alone.
    public func setLocals(_ addresses: Set<IPAddress>) throws(TunnelMapError) {
        let wanted = addresses.map { weft_local($0) }
        var old: [weft_local] = []
        try tables.locals.forEach { key, _ in old.append(key) }
        for local in wanted { try tables.locals.set(local, to: 1) }
        for local in old
        where !wanted.contains(where: {
            $0.address.high == local.address.high && $0.address.low == local.address.low && $0.v6 == local.v6
        }) {
            try tables.locals.remove(local)
        }
    }

    /// The nexthops by Geneve without a device of these entries.
    static func senders(of entries: [TunnelMapEntry]) -> Set<GeneveSender> {
        Set(
            entries.lazy.flatMap(\.nexthops).filter { $0.protocol == .geneveDirect }
                .compactMap { hop in hop.remote.map { GeneveSender(address: $0, vni: hop.vni) } })
    }

    /// Whether the classifier is attached to an interface.
    public func isAttached(to interface: String) throws(TunnelMapError) -> Bool {
        let place = Attachment.Place(interface: try Interface(interface).index, direction: .egress)
        return attachedPlaces().contains(place)
    }

    /// The interfaces that the classifier is attached to.
    public func attachedInterfaces() -> [String] { names(.egress) }

    /// The interfaces where Geneve without a device is decapsulated.
    public func decapsulatingInterfaces() -> [String] { names(.ingress) }

    private func names(_ direction: Attachment.Direction) -> [String] {
        attachedPlaces().filter { $0.direction == direction }.compactMap { Interface.name(of: $0.interface) }.sorted()
    }

    /// Detaches from all but these interfaces: what a file no longer names.
    public func detach(exceptFrom overlay: [String], decapsulation: [String]) {
        let egress = Set(overlay.map { unsafe if_nametoindex($0) })
        let ingress = Set(decapsulation.map { unsafe if_nametoindex($0) })
        for place in attachedPlaces() where !(place.direction == .egress ? egress : ingress).contains(place.interface) {
            detach(place)
        }
    }

    /// Removes the maps of other layouts, once ours forward in their place.
    public func removeOtherLayouts() { pins?.removeOtherLayouts() }

    /// Detaches what was attached and takes every pin away, and nothing else. What is shared with others stays.
    public func close() {
        for place in attachedPlaces() { detach(place) }
        pins?.removeAll()
    }

    /// Removes a pinned map of any layout, without loading anything.
    /// - Throws: `TunnelMapError.notLoaded`.
    public static func remove(name: String) throws(TunnelMapError) {
        guard let pins = try Pins.existing(name: name, layout: Int(WEFT_LAYOUT)) else { throw .notLoaded(name: name) }
        for pin in pins.linkNames() { detach(pin, pins) }
        pins.removeAll()
    }

    private func attachedPlaces() -> Set<Attachment.Place> {
        guard let pins else { return state.withLock { Set($0.attachments.keys) } }
        return Set(
            pins.linkNames().compactMap { pin in
                guard let (place, isClsact) = Attachment.Place.parse(pin) else { return nil }
                return Self.isLive(pin, place, isClsact, pins) ? place : nil
            })
    }

    /// Whether what a pin stands for is still at its interface, which may be gone.
    private static func isLive(_ pin: String, _ place: Attachment.Place, _ isClsact: Bool, _ pins: Pins) -> Bool {
        guard let found = try? BPFFileSystem.open(pins.linkPath(pin)) else { return false }
        if isClsact { return Attachment.clsactProgram(place) == Attachment.number(ofProgram: found.raw) }
        return Interface.name(of: place.interface) != nil
    }

    private func attach(_ program: Int32, at place: Attachment.Place) throws(TunnelMapError) {
        try state.withLock { state throws(TunnelMapError) in
            guard let pins else {
                if let old = state.attachments[place] {
                    if old.link == nil { _ = try Attachment.clsact(place, program: program, replacing: true) }
                    return
                }
                state.attachments[place] = try makeAttachment(program, at: place, replacing: false)
                return
            }
            if try swap(program, at: place, pins) { return }
            let attachment = try makeAttachment(program, at: place, replacing: false)
            if let link = attachment.link {
                try BPFFileSystem.pin(link.raw, at: pins.linkPath(place.tcxPin))
            } else {
                try BPFFileSystem.pin(program, at: pins.linkPath(place.clsactPin))
            }
        }
    }

    /// Puts the program in the place of one that is attached there under our name. False if none is.
    private func swap(_ program: Int32, at place: Attachment.Place, _ pins: Pins) throws(TunnelMapError) -> Bool {
        if let link = try BPFFileSystem.open(pins.linkPath(place.tcxPin)) {
            if bpf_link_update(link.raw, program, nil) == 0 { return true }
            // Its interface is gone, and another has its number.
            _ = unsafe unlink(pins.linkPath(place.tcxPin))
        }
        if let old = try BPFFileSystem.open(pins.linkPath(place.clsactPin)),
            Attachment.clsactProgram(place) == Attachment.number(ofProgram: old.raw)
        {
            _ = try Attachment.clsact(place, program: program, replacing: true)
            try BPFFileSystem.pin(program, at: pins.linkPath(place.clsactPin))
            return true
        }
        return false
    }

    private func makeAttachment(
        _ program: Int32, at place: Attachment.Place, replacing: Bool
    ) throws(TunnelMapError) -> Attachment {
        if hook != .clsact, let attachment = try Attachment.tcx(place, program: program) { return attachment }
        guard hook != .tcx else { throw .refused(operation: "attach by a TCX link", errorNumber: EOPNOTSUPP) }
        return try Attachment.clsact(place, program: program, replacing: replacing)
    }

    private func detach(_ place: Attachment.Place) {
        guard let pins else {
            state.withLock { state in
                guard let attachment = state.attachments.removeValue(forKey: place) else { return }
                if let link = attachment.link { link.close() } else { Attachment.detachClsact(place) }
            }
            return
        }
        Self.detach(place.tcxPin, pins)
        Self.detach(place.clsactPin, pins)
    }

    private static func detach(_ pin: String, _ pins: Pins) {
        guard let (place, isClsact) = Attachment.Place.parse(pin),
            let found = try? BPFFileSystem.open(pins.linkPath(pin))
        else { return }
        if isClsact {
            // Somebody else may have put a filter in the place of ours.
            if Attachment.clsactProgram(place) == Attachment.number(ofProgram: found.raw) {
                Attachment.detachClsact(place)
            }
        } else {
            // At once, rather than when the last process that has it open closes it.
            _ = bpf_link_detach(found.raw)
        }
        _ = unsafe unlink(pins.linkPath(pin))
    }
}

extension TunnelMap {
    /// Whether there is an interface of this name, in the calling thread's network namespace.
    public static func hasInterface(_ name: String) -> Bool { unsafe if_nametoindex(name) != 0 }
}
