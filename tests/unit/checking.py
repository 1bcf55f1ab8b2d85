"""For tests of the doctor: what a check found, answers of a node that has a fault, a folder's contents."""

import json
from pathlib import Path
from typing import Any

from pole.node.doctor.check import Check, Verdict
from tests.unit.peer import Answer

KEY = "s3cr3t-project-key"
OK, WARNING, PROBLEM = Verdict.OK, Verdict.WARNING, Verdict.PROBLEM


def says(found: Check, verdict: Verdict, text: str, remedy: str = "") -> None:
    assert (found.verdict, text in found.text, remedy in found.remedy) == (verdict, True, True), found
    assert bool(found.remedy) == (verdict is not OK), found


def http(status: str, body: bytes = b"{}", headers: str = "") -> Answer:
    return lambda talk: talk.answer(body, status, f"Content-Type: application/json\r\n{headers}")


def rpc_error(code: int, message: str) -> Answer:
    body = {"jsonrpc": "2.0", "id": 0, "error": {"code": code, "message": message}}
    return http("200 OK", json.dumps(body).encode())


def rpc_result(result: Any) -> Answer:
    return http("200 OK", json.dumps({"jsonrpc": "2.0", "id": 0, "result": result}).encode())


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in folder.rglob("*")
    }
