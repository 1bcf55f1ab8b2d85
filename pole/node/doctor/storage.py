"""Checks of the content store: a folder, or an IPFS daemon."""

import importlib.util
import os
import re
import shlex
from dataclasses import replace
from pathlib import Path

from pole.node.doctor.check import Check, check, ok, problem
from pole.node.doctor.machine import is_writable
from pole.paths import expanded
from pole.settings import read_settings
from pole.storage.cid import cid_of
from pole.storage.transfer import TransferLimits
from pole.urls import keep_secret, shown

_PATIENCE_S = 5.0
_HOST_AND_PORT = re.compile(r"^[^/]+:\d+(/.*)?$")
_DAEMON = re.compile(r"^(https?://|/(ip4|ip6|dns|dns4|dns6|dnsaddr|unix)/)")


def is_daemon(location: str) -> bool:
    """Whether --store names an IPFS daemon, and not a folder."""
    return _DAEMON.match(location) is not None


@check("store")
def check_store(location: str) -> Check:
    """Only reads: a folder is not made, and a daemon is asked whether it keeps the empty file."""
    if is_daemon(location):
        return _check_daemon(location)
    if "://" in location or _HOST_AND_PORT.match(location):
        return problem(
            "neither a folder nor the address of an IPFS daemon",
            "give a folder, such as ~/.pole/store, or a daemon, such as --store /ip4/127.0.0.1/tcp/5001",
        )
    return _check_folder(expanded(location))


def _check_daemon(location: str) -> Check:
    if importlib.util.find_spec("ipfshttpclient") is None:
        return problem("IPFS needs a package that is missing", "pip install 'useful-proof-of-work[ipfs]'")
    from pole.storage.ipfs import IpfsSettings, IpfsStore

    given = read_settings()
    for secret in filter(None, (given.ipfs_gateway, given.ipfs_authorization)):
        keep_secret(secret.get_secret_value())
    patient = IpfsSettings.of(given)
    IpfsStore(location, replace(patient, limits=TransferLimits(first_s=_PATIENCE_S))).has(cid_of(b""))
    return ok(f"the IPFS daemon at {_place(location)} answers")


def _check_folder(folder: Path) -> Check:
    if folder.exists() and not folder.is_dir():
        return problem(f"{folder} is not a folder", "give another --store")
    if not is_writable(folder) or (folder.exists() and not os.access(folder, os.R_OK)):
        return problem(
            f"{folder} cannot be read and written",
            f"sudo chown -R $(id -u) {shlex.quote(str(folder))}, or give another --store",
        )
    return ok(str(folder) if folder.exists() else f"{folder} is not there yet; the role makes it")


def _place(location: str) -> str:
    """Host and port alone."""
    return shown(location) if "://" in location else "/".join(location.split("/")[:5])
