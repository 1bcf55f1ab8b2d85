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
