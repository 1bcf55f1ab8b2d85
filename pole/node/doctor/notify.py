"""Check of the services that tell a person."""

from collections.abc import Sequence
from pathlib import Path

from pole.node.doctor.check import Check, check, ok, problem, warning
from pole.node.notify.services import NOTIFY_VARIABLE, addresses, services


@check("notify")
def check_notify(given: Sequence[str], file: Path | None, *, is_told: bool) -> Check:
    """Whether the addresses can be used; with `is_told`, whether each takes a test message."""
    channels = services(addresses(given, file))
    if not channels:
        if is_told:
            return problem("there is nobody to send a test message to", f"set {NOTIFY_VARIABLE}, or give --notify-file")
        return ok("nobody is told of what happens (--notify)")
    names = ", ".join(each.name for each in channels)
    if not is_told:
        return ok(f"{names}; --test-notify sends a test message")
    silent = [each.name for each in channels if not each.send("pole doctor", "A test: this address is told.")]
    if silent:
        return warning(f"a test message was not taken by {', '.join(silent)}", "check address, network and service")
    return ok(f"a test message was taken by {names}")
