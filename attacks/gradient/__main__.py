"""`python -m attacks.gradient [NAME...] [--quick|--full] [--list] [--json] [--seed N] [--resume FILE]`."""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attacks.gradient import (
    hardened_batches,
    hardened_foresight,
    hardened_identities,
    hardened_proofs,
    hardened_work,
    paper,
    paper_binding,
    paper_limits,
    paper_movement,
    paper_symmetry,
    paper_tables,
)
from attacks.gradient.ground import Ground, Size, session
from attacks.record import Attack, Outcome, carry_out
from testbed.markdown import markdown_table

ATTACKS: list[Attack[Ground]] = [
    attack
    for module in (
        paper_movement,
        paper_tables,
        paper_symmetry,
        paper_binding,
        paper_limits,
        hardened_proofs,
        hardened_work,
        hardened_batches,
        hardened_foresight,
        hardened_identities,
    )
    for attack in module.ATTACKS
]
# Examined as an attack on the published rules, and found to be none.
HARMLESS = frozenset({"paper-rounding"})

SUCCEEDS, HELD, LIMIT, FAIL = "succeeds", "held", "limit", "FAIL"
HEADER = ("attack", "rules", "honest candidates/s", "attacker's", "speed-up", "per step", "verdict", "seen")


def verdict(attack: Attack[Ground], outcome: Outcome) -> str:
    """Under the published rules, what was measured has to happen again; under the hardened ones, nothing may."""
    if not outcome.figures:
        return FAIL  # it could not be carried out
    if attack.is_known_limit:
        return LIMIT
    if attack.family == paper.FAMILY and attack.id not in HARMLESS:
        return FAIL if outcome.defended else SUCCEEDS
    return HELD if outcome.defended else FAIL


def outcomes(
    attacks: Sequence[Attack[Ground]], seed: int, size: Size, results: Path | None = None
) -> Iterator[tuple[Attack[Ground], Outcome]]:
    """Carry out one attack after the other; `results`: see `Ground`."""
    with session(seed, size, results) as open_ground:
        for attack in attacks:
            yield attack, carry_out(attack, open_ground)


def row(attack: Attack[Ground], outcome: Outcome) -> tuple[str, ...]:
    """One line of the table."""
    figures = outcome.figures
    rates = [_number(float(figures.get(name, 0)), "") for name in ("honest_per_s", "attacker_per_s", "speed_up")]
    gain = _number(float(figures.get("gain", 0)), "x")
    speed_up = rates[2] + "x" if rates[2] != "-" else rates[2]
    verdict_of = verdict(attack, outcome)
    return (
        attack.id,
        attack.family,
        rates[0],
        rates[1],
        speed_up,
        gain,
        verdict_of,
        outcome.evidence.replace("|", r"\|"),
    )


def _number(value: float, unit: str) -> str:
    """Three digits; `-` for what has no rate, such as a forgery that is refused."""
    if value == 0:
        return "-"
    if math.isinf(value):
        return "free"
    return (f"{value:,.0f}" if value >= 100 else f"{value:.3g}") + unit


def main(argv: Sequence[str] | None = None) -> int:
    """Run the named attacks, all by default; 1 if one ends otherwise than documented, 2 for an unknown name."""
    options = _parser().parse_args(argv)
    unknown = set(options.name) - {attack.id for attack in ATTACKS} - {attack.family for attack in ATTACKS}
    if unknown:
        print(f"error: no attack or rules {', '.join(sorted(unknown))}; --list shows them", file=sys.stderr)
        return 2
    chosen = [each for each in ATTACKS if not options.name or {each.id, each.family} & set(options.name)]
    if options.list:
        for attack in chosen:
            print(f"{attack.family:8} {attack.id:32} {attack.what}")
        return 0
    done = []
    for attack, outcome in outcomes(chosen, options.seed, "full" if options.full else "quick", options.resume):
        done.append((attack, outcome))
        print(f"{verdict(attack, outcome):8} {attack.id}: {outcome.evidence}", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps([_document(attack, outcome) for attack, outcome in done], indent=1))
    else:
        print(markdown_table(HEADER, [row(attack, outcome) for attack, outcome in done]))
    return 1 if any(verdict(attack, outcome) == FAIL for attack, outcome in done) else 0


def _document(attack: Attack[Ground], outcome: Outcome) -> dict[str, Any]:
    # JSON knows no infinity; what costs nothing at all has no gain.
    figures = {name: None if value == math.inf else value for name, value in outcome.figures.items()}
    return {
        "id": attack.id,
        "rules": attack.family,
        "what": attack.what,
        "verdict": verdict(attack, outcome),
        "evidence": outcome.evidence,
        "figures": figures,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m attacks.gradient",
        description="Attack the gradient chain's rules, published and hardened.",
    )
    parser.add_argument("name", nargs="*", help="attacks, or 'paper' or 'hardened'; all by default")
    parser.add_argument("--list", action="store_true", help="say what there is and do nothing")
    parser.add_argument("--json", action="store_true", help="one document instead of a table")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn")
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="FILE",
        help="keep counts of long attacks there, and go on behind them",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="about two minutes; the default")
    size.add_argument("--full", action="store_true", help="five to ten times as many trials")
    return parser


if __name__ == "__main__":
    sys.exit(main())
