"""The files that miners and verifiers fetch when a round opens: the manifest and the functional keys."""

import shutil
from pathlib import Path

from pole.chain.deployment import in_lane
from pole.errors import KeyRefused
from pole.learning.functional_keys import FunctionalKeys, max_keys_bytes
from pole.storage.cid import Cid
from pole.storage.store import Store
from pole.task.manifest import MAX_MANIFEST_BYTES, InnerProductEncryption, Manifest


def fetch_manifest(store: Store, cid: Cid) -> Manifest:
    """Raises ManifestInvalid, or as the store does."""
    return Manifest.from_bytes(store.get(cid, MAX_MANIFEST_BYTES))


def fetch_keys(store: Store, manifest: Manifest, keys: Cid | None) -> FunctionalKeys | None:
    """The round's functional keys as published, None for a task that is not encrypted; `load_features` checks them.

    Raises KeyRefused if there are none or they are malformed, or as the store does.
    """
    if not isinstance(manifest.encryption, InnerProductEncryption):
        return None
    if keys is None:
        raise KeyRefused("the task is encrypted, but no functional keys were published for this round")
    return FunctionalKeys.from_bytes(store.get(keys, max_keys_bytes(manifest)))


def feature_cache(home: Path, previous_hash: bytes, lane: int = 0) -> Path:
    """The folder for a round's features, after removing those of the lane's other rounds: they never come back."""
    caches = home / in_lane("features", lane)
    mine = caches / previous_hash.hex()
    for other in caches.glob("*"):
        if other != mine:
            shutil.rmtree(other, ignore_errors=True)
    return mine
