#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes or checks the vectors of docs/weft-1.md's exchanges, with Python's `cryptography` and nothing of Weft's:

    scripts/weft-1-vectors.py --write docs/weft-1-vectors.json
    scripts/weft-1-vectors.py docs/weft-1-vectors.json

Without --write it derives everything anew from what each vector begins with, and fails at the first difference.
"""
import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

KEY_BYTES = {0: 16, 1: 32}


def hkdf(secret, salt, info, count):
    return HKDF(algorithm=hashes.SHA256(), length=count, salt=salt, info=info).derive(secret)


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def public_half(private):
    key = X25519PrivateKey.from_private_bytes(private)
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def shared_secret(private, other):
    key = X25519PrivateKey.from_private_bytes(private)
    try:
        secret = key.exchange(X25519PublicKey.from_public_bytes(other))
    except ValueError:
        return None
    return secret if any(secret) else None


def chain_start(root, preshared, initiator, responder):
    return hkdf(root, preshared or bytes(32), b"weft/1 chain" + initiator + responder, 32)


def offer_bytes(kind, number, suite, spi, share):
    return bytes([1, kind]) + number.to_bytes(4, "big") + bytes([suite]) + spi.to_bytes(4, "big") + share


def exchange(chain, number, suite, sides):
    """One step of the chain; `sides` has (SPI, private half) of the initiator and of the responder."""
    (spi_i, private_i), (spi_r, private_r) = sides
    offer = offer_bytes(17, number, suite, spi_i, public_half(private_i))
    answer = offer_bytes(18, number, suite, spi_r, public_half(private_r))
    transcript = offer + answer
    secret = shared_secret(private_i, public_half(private_r))
    assert secret == shared_secret(private_r, public_half(private_i))
    block = hkdf(secret, chain, b"weft/1 exchange" + transcript, 160)
    chain, to_i, to_r, mac_r, mac_i = (block[index : index + 32] for index in range(0, 160, 32))
    proof_r = mac(mac_r, transcript)
    proof_i = mac(mac_i, transcript + proof_r)
    return {
        "suite": suite,
        "initiator_spi": spi_i,
        "responder_spi": spi_r,
        "initiator_private": private_i.hex(),
        "responder_private": private_r.hex(),
        "shared": secret.hex(),
        "offer": offer.hex(),
        "answer": (answer + proof_r).hex(),
        "confirmation": (bytes([1, 19]) + number.to_bytes(4, "big") + proof_i).hex(),
        "installed": (bytes([1, 20]) + number.to_bytes(4, "big")).hex(),
        "chain": chain.hex(),
        "initiator_receives": to_i[: KEY_BYTES[suite]].hex(),
        "responder_receives": to_r[: KEY_BYTES[suite]].hex(),
    }


def session(name, root, preshared, initiator, responder, exchanges):
    chain = chain_start(root, preshared, initiator, responder)
    vector = {
        "name": name,
        "root_secret": root.hex(),
        "preshared_key": preshared.hex() if preshared else None,
        "initiator": initiator.hex(),
        "responder": responder.hex(),
        "chain": chain.hex(),
        "exchanges": [],
    }
    for number, (suite, sides) in enumerate(exchanges, start=1):
        step = exchange(chain, number, suite, sides)
        chain = bytes.fromhex(step["chain"])
        vector["exchanges"].append(step)
    return vector


# Points of small order, each of which leads to a secret of zeros (RFC 7748, section 6.1).
USELESS = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def drawn(label, count=32):
    """Bytes that look random and are the same each time."""
    return hashlib.sha256(("weft/1 vectors: " + label).encode()).digest()[:count]


def public_key(scalar):
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.derive_private_key(scalar, ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def make():
    keys = sorted([public_key(1), public_key(2)])

    def steps(label, *suites):
        return [
            (
                suite,
                (
                    (0x00000100 + index, drawn(f"{label} initiator {index}")),
                    (0x40000200 + index, drawn(f"{label} responder {index}")),
                ),
            )
            for index, suite in enumerate(suites)
        ]

    sessions = [
        session("AES-128-GCM, no preshared key", drawn("root 1"), None, *keys, steps("one", 0, 0, 0)),
        session("AES-256-GCM, a preshared key", drawn("root 2"), drawn("preshared"), *keys, steps("two", 1, 1)),
        # The private halves of RFC 7748, section 6.1.
        session(
            "shares of RFC 7748",
            bytes(range(32)),
            bytes(range(32, 64)),
            *keys,
            [
                (
                    0,
                    (
                        (0x00000001, bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")),
                        (0x40000001, bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")),
                    ),
                )
            ],
        ),
    ]
    return {"count": len(sessions), "vectors": sessions, "useless_shares": USELESS}


def check(file):
    for vector in file["vectors"]:
        preshared = vector["preshared_key"]
        again = session(
            vector["name"],
            bytes.fromhex(vector["root_secret"]),
            bytes.fromhex(preshared) if preshared else None,
            bytes.fromhex(vector["initiator"]),
            bytes.fromhex(vector["responder"]),
            [
                (
                    step["suite"],
                    (
                        (step["initiator_spi"], bytes.fromhex(step["initiator_private"])),
                        (step["responder_spi"], bytes.fromhex(step["responder_private"])),
                    ),
                )
                for step in vector["exchanges"]
            ],
        )
        if again != vector:
            sys.exit(f"{vector['name']}: derived otherwise here: {json.dumps(again, indent=1)}")
    for share in file["useless_shares"]:
        if shared_secret(drawn("anybody"), bytes.fromhex(share)) is not None:
            sys.exit(f"{share} leads to a secret")
    if file["count"] != len(file["vectors"]) or not file["vectors"]:
        sys.exit("the count is wrong")
    print(f"{file['count']} vectors and {len(file['useless_shares'])} useless shares: as here")


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--write":
        with open(arguments[1], "w", encoding="ascii") as file:
            json.dump(make(), file, indent=1)
            file.write("\n")
    elif len(arguments) == 1 and not arguments[0].startswith("-"):
        with open(arguments[0], encoding="ascii") as file:
            check(json.load(file))
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
