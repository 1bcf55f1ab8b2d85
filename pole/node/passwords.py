"""Passwords of key files: from a file, from the environment, or asked for; never from an argument."""

import getpass
import sys
from pathlib import Path

from pole.errors import BadInput
from pole.paths import expanded
from pole.settings import read_settings, variable

PASSWORD_VARIABLE = variable("password")


def read_password(password_file: Path | None, prompt: str) -> str:
    """From the file, else from POLE_PASSWORD, else asked for on the terminal."""
    given = _given(password_file)
    return getpass.getpass(prompt) if given is None else given


def read_new_password(password_file: Path | None, prompt: str) -> str:
    """As `read_password`, but asked for twice: a slip of the finger would lock the key away."""
    given = _given(password_file)
    if given is not None:
        return given
    password = getpass.getpass(prompt)
    if getpass.getpass("The same again: ") != password:
        raise BadInput("the two passwords differ; nothing was written, try again")
    return password


def _given(password_file: Path | None) -> str | None:
    """None if a person is to be asked, and is there."""
    if password_file is not None:
        return _in_file(expanded(password_file))
    if (password := read_settings().password) is not None:
        return password.get_secret_value()
    if not sys.stdin.isatty():
        raise BadInput(f"no password: give --password-file or set {PASSWORD_VARIABLE} (there is no terminal to ask on)")
    return None


def _in_file(path: Path) -> str:
    """The only line of a UTF-8 file; a byte-order mark and empty lines at its end are no part of it."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as exc:
        raise BadInput(f"cannot read password file {path}: {exc.strerror}; check the path") from exc
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise BadInput(f"password file {path} is not UTF-8 text; save it as UTF-8")
    password = text.rstrip("\r\n")
    if "\n" in password or "\r" in password:
        raise BadInput(f"password file {path} has a second line; leave the password alone in it, on one line")
    if not password:
        raise BadInput(f"password file {path} is empty; write the password into it, on one line")
    return password
