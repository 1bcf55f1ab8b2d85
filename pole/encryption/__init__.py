"""Inner-product functional encryption: rows that only published keys open. Timed release, not privacy."""

from pole.encryption.backend import Backend, BackendName, Progress, backend, expected_s
from pole.encryption.coincurve_backend import CoincurveBackend
from pole.encryption.issuing import check_keys, issue_keys, issued_rank, warning_rank
from pole.encryption.keys import FunctionalKeys, MasterKey, PublicKey, max_keys_bytes, max_public_key_bytes

__all__ = [
    "Backend",
    "BackendName",
    "CoincurveBackend",
    "FunctionalKeys",
    "MasterKey",
    "Progress",
    "PublicKey",
    "backend",
    "check_keys",
    "expected_s",
    "issue_keys",
    "issued_rank",
    "max_keys_bytes",
    "max_public_key_bytes",
    "warning_rank",
]
