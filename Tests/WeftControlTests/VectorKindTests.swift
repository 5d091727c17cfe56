// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

/// A vector of a form that nobody knows would otherwise be left out in silence.
struct VectorKindTests {
    @Test func everyVectorIsRunBySomeTest() throws {
        for vector in try Vectors.load("control_framing", as: ControlVector.self) {
            #expect(vector.kind != nil, "\(vector.name)")
        }
        for vector in try Vectors.load("negotiate", as: AgreementVector.self) {
            #expect(vector.kind != nil, "\(vector.name)")
        }
        for vector in try Vectors.load("identity", as: IdentityVector.self) {
            #expect(vector.kind != nil, "\(vector.name)")
        }
        for vector in try Vectors.load("psp_spi", as: SPIVector.self) {
            #expect(vector.kind != nil, "\(vector.name)")
        }
    }
}
