"""How errors of a command line become exit statuses. Imports no role and no chain: every command loads it first."""

import io
import os
import sys

import click

from pole.errors import BadInput, JournalFull, PoleError, StoreUnavailable, TransientChainError
from pole.node import logs
from pole.urls import without_addresses

# Documented in docs/operations.md; 64 and above as in sysexits.h.
EXIT_FAILED, EXIT_UNEXPECTED, EXIT_TRY_AGAIN, EXIT_INTERRUPTED = 1, 70, 75, 130

# Packages that only some commands need, and the extra of ours that brings each.
EXTRAS = {
    **dict.fromkeys(("torch", "torchvision"), "train"),
    **dict.fromkeys(("sklearn", "PIL", "pandas", "pyarrow", "openpyxl", "charset_normalizer"), "data"),
    **dict.fromkeys(("matplotlib", "onnx", "onnxruntime"), "deliver"),
    **dict.fromkeys(("ipfshttpclient", "multiaddr"), "ipfs"),
    "apprise": "notify",
    **dict.fromkeys(("fastapi", "jinja2", "starlette", "uvicorn"), "explorer"),
}


def exit_code(command: click.Command) -> int:
    """Run a role's command line; an error becomes one line on stderr and a status, as docs/operations.md lists them."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # as stderr does: a file's name need not be UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        command.main(standalone_mode=False)
    except click.ClickException as exc:
        exc.message = without_addresses(exc.message)
        exc.show()
        return exc.exit_code if isinstance(exc, click.UsageError) else EXIT_FAILED
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except PoleError as exc:
        logs.report(exc)
        return EXIT_TRY_AGAIN if isinstance(exc, (TransientChainError, StoreUnavailable, JournalFull)) else EXIT_FAILED
    except ModuleNotFoundError as exc:
        if exc.name not in EXTRAS:
            logs.report(exc)
            return EXIT_UNEXPECTED
        logs.report(
            BadInput(f"this needs {exc.name}; install it: pip install 'useful-proof-of-work[{EXTRAS[exc.name]}]'")
        )
        return EXIT_FAILED
    except BrokenPipeError:  # the reader of a pipe is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as exc:
        logs.report(exc)
        return EXIT_UNEXPECTED
    return 0
