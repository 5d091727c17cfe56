# SPDX-License-Identifier: Apache-2.0
"""What aioquic lacks for a control plane's ends: TLS's exporter, certificates both ways; and the keys that come of it."""

import datetime
import struct

from aioquic import tls
from cryptography import x509
from cryptography.hazmat.primitives import cmac, hashes, serialization
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

EXPORTER = {}

# The exporter's secret follows from the handshake up to the server's Finished, as the traffic secrets do.
derive = tls.KeySchedule.derive_secret


def derive_and_keep(self, label):
    if label == b"s ap traffic":
        EXPORTER["hash"] = self.algorithm
        EXPORTER["master"] = derive(self, b"exp master")
    return derive(self, label)


tls.KeySchedule.derive_secret = derive_and_keep

# aioquic asks for a client's certificate only behind a private flag.
begin = tls.Context.__init__


def begin_mutually(self, *arguments, **options):
    begin(self, *arguments, **options)
    self._request_client_certificate = True


tls.Context.__init__ = begin_mutually


def digest(algorithm, data=b""):
    state = hashes.Hash(algorithm)
    state.update(data)
    return state.finalize()


def exported(label, context, size):
    """RFC 8446, section 7.5."""
    algorithm = EXPORTER["hash"]
    secret = tls.hkdf_expand_label(
        algorithm, EXPORTER["master"], label, digest(algorithm), algorithm.digest_size
    )
    return tls.hkdf_expand_label(algorithm, secret, b"exporter", digest(algorithm, context), size)


def hkdf(secret, info, size, salt=None):
    return HKDF(hashes.SHA256(), size, salt, info).derive(secret)


def root_secret():
    return exported(b"EXPORTER-icx-master-v1", b"icx control plane master seed v1", 32)


def master_keys():
    """ICX's."""
    return hkdf(root_secret(), b"icx psp master keys v1", 64)


def sa_key(spi):
    """The key of an SA of suite 0, in hexadecimal."""
    state = cmac.CMAC(algorithms.AES(master_keys()[:32]))
    state.update(struct.pack(">I", 1) + b"Pv0\0" + struct.pack(">II", spi, 128))
    return state.finalize().hex()


def certificate(key, signer):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "icx:test")])
    now = datetime.datetime(2020, 1, 1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=36500))
        .sign(signer, hashes.SHA256())
    )


def spki(holder):
    """The public key of a certificate or of a private key."""
    return holder.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def read_key(path):
    with open(path, "rb") as file:
        return serialization.load_pem_private_key(file.read(), None)


def frame(kind, body):
    return struct.pack(">HBB", len(body) + 2, 1, kind) + body
