"""What the environment sets: every `POLE_*` variable, its type and what it is for.

Arguments can be read by every user of a machine, so credentials come from here or from files.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pole.errors import BadInput

PREFIX = "POLE_"


class Settings(BaseSettings):
    """One field a variable; an empty variable is not set. Documented in docs/operations.md, which a test compares."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    rpc: str | None = Field(default=None, description="Ethereum nodes, separated by spaces, where `--rpc` is not given")
    store: str | None = Field(default=None, description="content store, where `--store` is not given")
    password: SecretStr | None = Field(default=None, description="password of the key file; never an argument")
    notify: SecretStr | None = Field(
        default=None, description="addresses to tell a person at, separated by spaces, where `--notify` is not given"
    )
    notify_file: Path | None = Field(default=None, description="file with such addresses, one a line")
    locks: Path = Field(
        default=Path("~/.pole/locks"),
        description="folder of the locks that keep two processes of a user from using one account",
    )
    threads: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None, description="threads for encryption and decryption; else `OMP_NUM_THREADS`, else one per core"
    )
    encryption_backend: Literal["auto", "coincurve", "numba", "torch"] = Field(
        default="auto", description="who encrypts and decrypts; `torch` is for GPUs and never chosen by itself"
    )
    no_ifma: bool = Field(default=False, description="do without the processor's AVX-512 IFMA instructions")
    ipfs_gateway: SecretStr | None = Field(
        default=None, description="HTTP gateway to read from when the daemon does not have something"
    )
    ipfs_authorization: SecretStr | None = Field(
        default=None, description="value of the `Authorization` header for the daemon's API; never an argument"
    )
    ipfs_authorization_file: Path | None = Field(default=None, description="file with that value")
    ipfs_patience_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = Field(
        default=20.0, description="seconds to wait for content that nobody seems to have"
    )
    ipfs_cache: Path = Field(
        default=Path("~/.pole/fetched"),
        description="verified copies of fetched content; unused ones are removed after a day",
    )


def variable(field: str) -> str:
    """The name of a field's variable."""
    if field not in Settings.model_fields:
        raise KeyError(field)
    return PREFIX + field.upper()


def read_settings() -> Settings:
    """What the environment says now. Raises BadInput that names the variable, and its value unless it is secret."""
    try:
        return Settings()
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise BadInput(_refusal(str(first["loc"][0]), first["input"], first["msg"])) from None


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Variables with our prefix that nothing reads: a slip of the pen, or of a version that is gone."""
    known = {variable(field) for field in Settings.model_fields} | _OTHERS
    return sorted(name for name in environment if name.upper().startswith(PREFIX) and name.upper() not in known)


# Programs for `make` and the tests; click's own, for shell completion.
_OTHERS = {"POLE_KUBO", "POLE_GETH", "POLE_COMPLETE"}


def _refusal(field: str, value: Any, problem: str) -> str:
    """`field`: a name in Settings."""
    meaning = Settings.model_fields[field].description
    shown = repr(value)
    return f"{variable(field)} is {shown if len(shown) <= 60 else shown[:60] + '...'}: {problem}; it is: {meaning}"
