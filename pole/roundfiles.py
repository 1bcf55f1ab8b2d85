"""What miners and verifiers fetch alike when a round opens: the manifest and the functional keys, both checked."""

from pole.cid import Cid
from pole.encryption.keys import FunctionalKeys, PublicKey, check_keys
from pole.errors import KeyRefused
from pole.manifest import MAX_MANIFEST_BYTES, InnerProductEncryption, Manifest
from pole.store import Store

MAX_KEYS_BYTES = 1 << 28
MAX_PUBLIC_KEY_BYTES = 1 << 28


def fetch_manifest(store: Store, cid: Cid) -> Manifest:
    """Raises ManifestInvalid, or as the store does."""
    return Manifest.from_bytes(store.get(cid, MAX_MANIFEST_BYTES))


def fetch_keys(store: Store, manifest: Manifest, keys: Cid | None, previous_hash: bytes) -> FunctionalKeys | None:
    """The round's functional keys, checked against the task's public key; None for a task that is not encrypted.

    Raises KeyRefused if they are not the keys for this round's mapping layer. Source: PROTOCOL, section 4
    """
    if not isinstance(manifest.encryption, InnerProductEncryption):
        return None
    if keys is None:
        raise KeyRefused("the task is encrypted, but the round has no functional keys")
    public_key = PublicKey.from_bytes(store.get(Cid.parse(manifest.encryption.public_key), MAX_PUBLIC_KEY_BYTES))
    functional_keys = FunctionalKeys.from_bytes(store.get(keys, MAX_KEYS_BYTES))
    check_keys(public_key, functional_keys, manifest, previous_hash)
    return functional_keys
