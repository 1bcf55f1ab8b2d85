"""An account on the session's anvil, in a key file whose name has a space."""

from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account.signers.local import LocalAccount

from pole.node.keyfile import create_account


@pytest.fixture
def keyfile(tmp_path: Path, new_account: Callable[..., LocalAccount]) -> Path:
    path = tmp_path / "key file.json"
    create_account(path, "pw", private_key=bytes(new_account().key), kdf_iterations=2)
    return path
