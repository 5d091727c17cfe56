# SPDX-License-Identifier: Apache-2.0
"""One end's part in the exchanges of keys of docs/weft-1.md, written from that document alone."""

import hmac
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keys import frame, hkdf

OFFER, ANSWER, CONFIRMATION, INSTALLED = 17, 18, 19, 20
SUITE = 0


class Refused(Exception):
    """The other end's message can't be; `is_different` if that is since it came to other keys."""

    def __init__(self, why, is_different=False):
        super().__init__(why)
        self.is_different = is_different


def mac(key, message):
    return hmac.digest(key, message, "sha256")


class Chain:
    """A session's chain of secrets, and the exchange that is under way.

    `spoil` names a way of doing it wrong: "wrong-mac", "useless-share", "skipped-exchange", "repeated-spi", "other-suite", "wrong-role".
    """

    def __init__(self, root, preshared, own, other, spoil=""):
        self.is_initiator = own < other
        self.secret = hkdf(root, b"weft/1 chain" + min(own, other) + max(own, other), 32, preshared or bytes(32))
        self.number = 0
        self.spoil = spoil
        self.own_spi = self.peer_spi = None
        self.receive_key = self.transmit_key = None

    def _own_offer(self, kind):
        number = self.number + (7 if self.spoil == "skipped-exchange" else 0)
        low = 9 if self.spoil == "repeated-spi" else 8 + self.number
        role = self.is_initiator != (self.spoil == "wrong-role")
        self.own_spi = (0 if role else 1) << 30 | low
        self.private = X25519PrivateKey.generate()
        share = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        if self.spoil == "useless-share":
            share = bytes(32)
        suite = 1 if self.spoil == "other-suite" else SUITE
        return bytes([1, kind]) + struct.pack(">IBI", number, suite, self.own_spi) + share

    def _take(self, payload):
        """The other end's offer, out of an offer or an answer."""
        number, suite, self.peer_spi = struct.unpack(">IBI", payload[2:11])
        if number != self.number or suite != SUITE or len(payload) != 43:
            raise Refused("an offer that can't be: " + payload.hex())
        if self.peer_spi >> 30 != (1 if self.is_initiator else 0):
            raise Refused(f"SPI {self.peer_spi} is of the wrong role")
        return X25519PublicKey.from_public_bytes(payload[11:])

    def _step(self, share):
        try:
            shared = self.private.exchange(share)
        except ValueError:
            raise Refused("a useless share") from None
        block = hkdf(shared, b"weft/1 exchange" + self.offer + self.answer, 160, self.secret)
        self.secret, to_initiator, to_responder, self.mac_r, self.mac_i = (
            block[index : index + 32] for index in range(0, 160, 32)
        )
        own, other = (to_initiator, to_responder) if self.is_initiator else (to_responder, to_initiator)
        self.receive_key, self.transmit_key = own[:16].hex(), other[:16].hex()
        self.proof_r = mac(self.mac_r, self.offer + self.answer)
        self.proof_i = mac(self.mac_i, self.offer + self.answer + self.proof_r)

    def _proof(self, proof):
        return bytes([proof[0] ^ 1]) + proof[1:] if self.spoil == "wrong-mac" else proof

    def begin(self):
        """The initiator's offer."""
        self.number += 1
        self.offer = self._own_offer(OFFER)
        return frame(OFFER, self.offer[2:])

    def respond(self, payload):
        """The responder's answer to an offer."""
        self.number += 1
        share = self._take(payload)
        self.offer = payload
        self.answer = self._own_offer(ANSWER)
        try:
            self._step(share)
        except Refused:
            if self.spoil != "useless-share":
                raise
        if self.spoil == "useless-share":
            self.proof_r = bytes(32)
        return frame(ANSWER, self.answer[2:] + self._proof(self.proof_r))

    def conclude(self, payload):
        """The initiator's confirmation of an answer."""
        share = self._take(payload[:-32])
        self.answer = payload[:-32]
        self._step(share)
        if not hmac.compare_digest(payload[-32:], self.proof_r):
            raise Refused("another key", is_different=True)
        return frame(CONFIRMATION, struct.pack(">I", self.number) + self._proof(self.proof_i))

    def confirmed(self, payload):
        """The responder's word that it has installed both directions."""
        if struct.unpack(">I", payload[2:6])[0] != self.number or len(payload) != 38:
            raise Refused("a confirmation that can't be: " + payload.hex())
        if not hmac.compare_digest(payload[6:], self.proof_i):
            raise Refused("another key", is_different=True)
        return frame(INSTALLED, struct.pack(">I", self.number))

    def installed(self, payload):
        if payload[2:] != struct.pack(">I", self.number):
            raise Refused("another exchange is installed: " + payload.hex())
