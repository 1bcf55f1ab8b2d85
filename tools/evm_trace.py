"""Pytest plugin: record which instructions eth-tester's EVM executes, by code, into the file $EVM_TRACE names.

Neither ape nor eth-tester measures Solidity coverage; py-evm reads every opcode through one iterator. Contracts without
the optimiser exceed the limits on code, which are lifted.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from eth.vm.code_stream import CodeStream
from eth.vm.forks.shanghai import computation as shanghai
from eth.vm.forks.spurious_dragon import computation as spurious_dragon
from eth.vm.opcode_values import STOP

NO_LIMIT = 1 << 20
_executed: dict[bytes, set[int]] = defaultdict(set)


def _traced(stream: CodeStream) -> Iterator[int]:
    """Source: py-evm's CodeStream.__iter__, which a read may move on during the yield."""
    code = stream._raw_code_bytes
    seen, length = _executed[code], len(code)
    while (counter := stream.program_counter) < length:
        seen.add(counter)
        stream.program_counter += 1
        yield code[counter]
    yield STOP


def pytest_configure() -> None:
    CodeStream.__iter__ = _traced  # type: ignore[method-assign]
    spurious_dragon.EIP170_CODE_SIZE_LIMIT = NO_LIMIT  # type: ignore[attr-defined]
    shanghai.MAX_INITCODE_SIZE = NO_LIMIT  # type: ignore[attr-defined]


def pytest_sessionfinish() -> None:
    trace = {code.hex(): sorted(counters) for code, counters in _executed.items()}
    Path(os.environ["EVM_TRACE"]).write_text(json.dumps(trace))
