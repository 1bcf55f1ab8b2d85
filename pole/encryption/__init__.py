"""Inner-product functional encryption: rows that only published keys open. Timed release, not privacy."""

from pole.encryption.backend import Backend, BackendName, backend, expected_s
from pole.encryption.keys import MasterKey, PublicKey, max_public_key_bytes
from pole.encryption.reference import CoincurveBackend

__all__ = [
    "Backend",
    "BackendName",
    "CoincurveBackend",
    "MasterKey",
    "PublicKey",
    "backend",
    "expected_s",
    "max_public_key_bytes",
]
