"""Notices that a test can read."""

from collections.abc import Callable

from pole.node.notify.notices import Notices


class Heard(Notices):
    """Keeps what it was told, once per key; `urgent` is what may not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, str] = {}
        self.urgent: list[str] = []

    @property
    def is_on(self) -> bool:
        return True

    def tell(self, key: str, text: str | Callable[[], str], *, wait_s: int = 0) -> None:
        if key in self.told:
            return
        self.told[key] = text if isinstance(text, str) else text()
        if not wait_s:
            self.urgent.append(key)
