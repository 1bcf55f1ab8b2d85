"""Look for every secret of a world in what its processes wrote and in how they were called."""

import base64
from collections.abc import Iterator
from pathlib import Path

from dataclient.task_folder import Prepared
from pole.encryption.keys import MasterKey
from testbed.processes import Stage
from tests.e2e.site import development_account

ACCOUNTS = 30
USER, PASSWORD, PATH, QUERY = "planted-user", "planted-password", "/v3/planted-path", "?apikey=planted-query"


def with_keys(url: str, path: str = "/") -> str:
    """A node's address with credentials and a query, which nodes do not mind; a path only a proxy does not."""
    return f"{url.replace('//', f'//{USER}:{PASSWORD}@', 1)}{path}{QUERY}"


def leaks(stage: Stage, folder: Path) -> list[str]:
    """Where a private key, the password, a master secret or the client's salt stands in plain."""
    secrets = dict(_secrets(stage, folder))
    found = []
    for place, text in _outputs(stage, folder):
        found += [f"{name} in {place}" for name, forms in secrets.items() if any(form in text for form in forms)]
    return found


def _secrets(stage: Stage, folder: Path) -> Iterator[tuple[str, list[str]]]:
    yield "the password", [stage._password]
    credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    yield "the node's key", [USER, PASSWORD, credentials, PATH.rpartition("/")[2], QUERY.rpartition("=")[2]]
    for index in range(ACCOUNTS):
        key = bytes(development_account(index).key)
        yield f"private key {index}", [key.hex(), str(int.from_bytes(key)), repr(key)]
    for path in folder.rglob("master.key"):
        values = MasterKey.load(path).secret
        yield f"master secret {path.parent.name}", [form for s in values[:8] for form in (str(s), f"{s:064x}")]
    for path in folder.rglob("prepared.json"):
        salt = Prepared.model_validate_json(path.read_bytes()).salt_bytes
        yield f"salt of {path.parent.name}", [salt.hex(), repr(salt)]


def _outputs(stage: Stage, folder: Path) -> Iterator[tuple[str, str]]:
    for path in [*folder.glob("*.log"), *folder.rglob("status.json")]:
        yield str(path.relative_to(folder)), path.read_text(errors="replace")
    for name, process in stage.processes.items():
        line = Path(f"/proc/{process.pid}/cmdline")
        if line.exists():
            yield f"the command line of {name}", line.read_bytes().decode(errors="replace")
