// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftNames

// What names and their look-ups are on the wire, reading beside writing.

extension WireReader {
    mutating func addresses(most: Int) throws(WireError) -> [IPAddress] {
        let count = Int(try number(UInt8.self))
        guard count <= most else { throw .invalid("a list of \(count) addresses") }
        var addresses: [IPAddress] = []
        for _ in 0..<count { addresses.append(try address()) }
        return addresses
    }

    mutating func name() throws(WireError) -> NameBook.Wanted {
        NameBook.Wanted(
            host: try text(most: NameBook.Wanted.longestHost), port: try number(),
            listed: try addresses(most: HostsFile.mostAddresses))
    }

    mutating func resolverSettings() throws(WireError) -> ResolverSettings {
        var settings = ResolverSettings(resolvers: try addresses(most: ResolverSettings.mostResolvers))
        let count = Int(try number(UInt8.self))
        guard count <= ResolverSettings.mostDomains else { throw .invalid("a list of \(count) domains") }
        for _ in 0..<count { settings.search.append(try text(most: HostName.longest)) }
        settings.dots = try number()
        settings.isLastResort = try flag()
        settings.ways = []
        for family in IPAddress.Family.allCases where try flag() { settings.ways.insert(family) }
        return settings
    }

    mutating func nameStatus() throws(WireError) -> NameStatusRecord {
        NameStatusRecord(
            addresses: try addresses(most: NameStatusRecord.mostAddresses),
            failure: try optional { (reader) throws(WireError) in try reader.text(most: ToData.longestText) },
            isRenamed: try flag())
    }
}

extension WireWriter {
    mutating func addresses(_ addresses: [IPAddress], most: Int) {
        let some = addresses.prefix(most)
        number(UInt8(some.count))
        for each in some { address(each) }
    }

    mutating func name(_ name: NameBook.Wanted) {
        text(name.host, most: NameBook.Wanted.longestHost)
        number(name.port)
        addresses(name.listed, most: HostsFile.mostAddresses)
    }

    mutating func resolverSettings(_ settings: ResolverSettings) {
        addresses(settings.resolvers, most: ResolverSettings.mostResolvers)
        let search = settings.search.prefix(ResolverSettings.mostDomains)
        number(UInt8(search.count))
        for domain in search { text(domain, most: HostName.longest) }
        number(settings.dots)
        flag(settings.isLastResort)
        for family in IPAddress.Family.allCases { flag(settings.ways.contains(family)) }
    }

    mutating func nameStatus(_ status: NameStatusRecord) {
        addresses(status.addresses, most: NameStatusRecord.mostAddresses)
        optional(status.failure) { $0.text($1, most: ToData.longestText) }
        flag(status.isRenamed)
    }
}
