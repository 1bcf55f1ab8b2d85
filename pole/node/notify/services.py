"""The services that `--notify` names, through apprise: a package that nothing else needs, so it is loaded only then."""

import importlib
import importlib.util
import logging
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pole.errors import BadInput
from pole.node.notify.courier import Channel
from pole.paths import expanded
from pole.settings import variable
from pole.urls import keep_wholly_secret

NOTIFY_VARIABLE, NOTIFY_FILE_VARIABLE = variable("notify"), variable("notify_file")
INSTALL = "pip install 'useful-proof-of-work[notify]'"
_MOST_CHARS = 3500


class Service:
    """One address of apprise's. `url` is a secret; `name` says the service and which of the addresses it is."""

    def __init__(self, url: str, number: int, plugin: Any) -> None:
        self.url, self._plugin = url, plugin
        self.name = f"{plugin.service_name} (address {number} of --notify)"
        self.most_chars = min(int(plugin.body_maxlen), _MOST_CHARS)

    def send(self, title: str, body: str) -> bool:
        return bool(self._plugin.notify(title=title, body=body, body_format="text"))


def addresses(given: Iterable[str], file: Path | None) -> list[str]:
    """Those of the options or the environment, and those of a file, one a line; each once."""
    found = [word for text in given for word in text.split()]
    if file is not None:
        try:
            found += expanded(file).read_text("utf-8-sig").split()
        except OSError as exc:
            raise BadInput(f"cannot read the file of --notify-file, {file}: {exc.strerror}; check the path") from None
        except UnicodeDecodeError:
            raise BadInput(f"the file of --notify-file, {file}, is not UTF-8 text; save it as UTF-8") from None
    for each in found:
        keep_wholly_secret(each)
    return list(dict.fromkeys(found))


def services(urls: Sequence[str]) -> list[Channel]:
    """Raises BadInput that names an address by its number alone; what it is may be a password."""
    if not urls:
        return []
    apprise, found = _apprise(), list[Channel]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it loads its plugins now, all of them
        for number, url in enumerate(urls, start=1):
            plugin = apprise.Apprise.instantiate(url, suppress_exceptions=True)
            if plugin is None:
                raise BadInput(
                    f"address {number} of --notify is none that apprise knows, or lacks a part (it may hold a "
                    "password, so it is not shown); see https://appriseit.com for their forms"
                )
            if plugin.overflow_mode == apprise.OverflowMode.UPSTREAM:  # as if the service took any length
                plugin.overflow_mode = apprise.OverflowMode.SPLIT
            found.append(Service(url, number, plugin))
    return found


def _apprise() -> Any:
    if importlib.util.find_spec("apprise") is None:
        raise BadInput(f"--notify needs a package that is missing; install it: {INSTALL}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        apprise = importlib.import_module("apprise")
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it logs addresses; what fails, the courier says
    return apprise
