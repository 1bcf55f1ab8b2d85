"""The command line of a suite of attacks: one line per attack, or JSON; the exit code says whether all held."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from attacks.record import Attack, C, Outcome, Session, carry_out

PASS, FAIL, LIMIT = "pass", "FAIL", "limit"


@dataclass(frozen=True)
class Result:
    attack: Attack[Any]
    outcome: Outcome
    is_weakened: bool = False

    @property
    def verdict(self) -> str:
        """`pass`, `FAIL` or `limit`; against a weakened part, the attack has to succeed."""
        if self.attack.is_known_limit:
            return LIMIT
        return PASS if self.outcome.defended != self.is_weakened else FAIL

    def line(self, width: int) -> str:
        attack = self.attack
        return f"{self.verdict:5} {attack.family:8} {attack.id:{width}} {attack.what}: {self.outcome.evidence}"

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        attack = self.attack
        return {
            "id": attack.id,
            "family": attack.family,
            "what": attack.what,
            "verdict": self.verdict,
            "is_weakened": self.is_weakened,
            "evidence": self.outcome.evidence,
            "figures": dict(self.outcome.figures),
        }


def results(attacks: Sequence[Attack[C]], session: Session[C], is_weakened: bool = False) -> Iterator[Result]:
    """Carry out one attack after the other, in their order."""
    with session() as open_ground:
        for attack in attacks:
            yield Result(attack, carry_out(attack, open_ground, is_weakened), is_weakened)


def main(attacks: Sequence[Attack[C]], session: Session[C], argv: Sequence[str] | None = None) -> int:
    """Run the named attacks, all by default; 1 if one succeeds that should not, 2 for an unknown name."""
    options = _parser().parse_args(argv)
    unknown = set(options.name) - {attack.id for attack in attacks} - {attack.family for attack in attacks}
    if unknown:
        print(f"error: no attack or family {', '.join(sorted(unknown))}; --list shows them", file=sys.stderr)
        return 2
    chosen = [a for a in attacks if not options.name or {a.id, a.family} & set(options.name)]
    if options.weakened:
        chosen = [attack for attack in chosen if attack.weakening is not None]
    if options.list:
        for attack in chosen:
            print(f"{attack.family:8} {attack.id:{_width(chosen)}} {attack.what}")
        return 0
    with _printer(options.json, _width(chosen)) as tell:
        done = [tell(result) for result in results(chosen, session, options.weakened)]
    return 1 if any(result.verdict == FAIL for result in done) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Carry out the attacks of docs/threat-model.md against real parts.")
    parser.add_argument("name", nargs="*", help="attacks or families; all by default")
    parser.add_argument("--list", action="store_true", help="say what there is and do nothing")
    parser.add_argument("--json", action="store_true", help="one document instead of lines")
    parser.add_argument(
        "--weakened", action="store_true", help="take out each attack's defence first: then it has to succeed"
    )
    return parser


@contextmanager
def _printer(is_json: bool, width: int) -> Iterator[Any]:
    """Yields what takes each result: prints it at once, or all of them as JSON at the end."""
    seen: list[Result] = []

    def tell(result: Result) -> Result:
        seen.append(result)
        if not is_json:
            print(result.line(width), flush=True)
        return result

    yield tell
    counts = {verdict: sum(result.verdict == verdict for result in seen) for verdict in (PASS, FAIL, LIMIT)}
    if is_json:
        print(json.dumps({"counts": counts, "attacks": [result.document() for result in seen]}, indent=1))
    else:
        print(f"{counts[PASS]} held, {counts[FAIL]} broken, {counts[LIMIT]} known limits")


def _width(attacks: Sequence[Attack[Any]]) -> int:
    return max((len(attack.id) for attack in attacks), default=0)
