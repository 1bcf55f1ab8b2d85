"""Addresses of nodes, daemons and gateways as people may see them: a provider's key stands in the path or the query.

`shown` is for messages of our own. `scrub` is for what others say (libraries, nodes, daemons): it blanks every part of
the addresses and credentials that `keep_secret` was told of, in this process.
"""

import base64
import re
from urllib.parse import SplitResult, quote, unquote, urlsplit

UNREADABLE = "<unreadable address>"
BLANK = "<hidden>"
# Shorter parts, such as "v3", stand in too many other words; as a part of the whole path they are blanked all the same.
_MIN_PART = 5
# What is no path, query or password may be any word: only longer ones are blanked everywhere.
_MIN_UNNAMED_PART = 8
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s'\"]+", re.IGNORECASE)
_HOST = re.compile(r"localhost|[\w-]+(\.[\w-]+)+", re.IGNORECASE)

_replacements: dict[str, str] = {}


def shown(url: str) -> str:
    """`scheme://host[:port]` of a URL, and nothing else of it; a placeholder for what is no URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return UNREADABLE
    if not parts.scheme or not host or not host.isprintable() or set(host) & set(" \\<>\"'%"):
        return UNREADABLE
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" if port is None else f"{parts.scheme}://{host}:{port}"


def keep_secret(address_or_credential: str) -> None:
    """Have `scrub` blank this from now on: of a URL all but scheme, host and port, of anything else the whole."""
    text = address_or_credential
    address = shown(text)
    if address == UNREADABLE:
        _add(text, BLANK)
        return
    parts = urlsplit(text)
    if text.rstrip("/") != address:
        _add(text, address)
    for part in _secret_parts(parts):
        _add(part, BLANK)


def keep_wholly_secret(url: str) -> None:
    """As `keep_secret`, for an address of which any part but the scheme may be a password; a host's name may not."""
    keep_secret(url)
    _add(url, BLANK)
    scheme, separator, rest = url.partition("://")
    for part in re.split(r"[/:@?&=#,]+", rest if separator else scheme):
        if len(part) >= _MIN_UNNAMED_PART and not _HOST.fullmatch(part):
            for form in {part, unquote(part), quote(unquote(part))}:
                _add(form, BLANK)


def without_addresses(text: str) -> str:
    """The text with nothing but the scheme of every address: what was typed wrong may be a secret all the same."""
    return _ADDRESS.sub(rf"\1{BLANK}", text)


def scrub(text: str) -> str:
    """The text without what `keep_secret` was told of, in whatever case it is written."""
    for secret in sorted(_replacements, key=len, reverse=True):
        text = re.sub(re.escape(secret), _replacements[secret], text, flags=re.IGNORECASE)
    return text


def _secret_parts(parts: SplitResult) -> set[str]:
    found = [f"{parts.path}?{parts.query}", parts.path, parts.query, parts.fragment]
    found += parts.path.split("/")
    found += [value or name for name, _, value in (pair.partition("=") for pair in parts.query.split("&"))]
    if parts.username is not None or parts.password is not None:
        user, password = parts.username or "", parts.password or ""
        found += [f"{user}:{password}", user, password]
        found.append(base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode())
    return {form for part in found for form in (part, unquote(part), quote(unquote(part)), quote(part))}


def _add(part: str, replacement: str) -> None:
    if len(part) >= _MIN_PART:
        _replacements[part] = replacement.replace("\\", r"\\")
