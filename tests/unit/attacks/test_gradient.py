"""Every attack on the gradient chain ends as documented: the published rules fall to it, the hardened ones do not."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from attacks.gradient.__main__ import ATTACKS, FAIL, HARMLESS, HELD, LIMIT, SUCCEEDS, main, row, verdict
from attacks.gradient.ground import Ground, session
from attacks.record import Open, Outcome, carry_out
from tests.paths import ROOT

BY_ID = {attack.id: attack for attack in ATTACKS}
WEAKENED = [attack.id for attack in ATTACKS if attack.weakening is not None]

# What was measured, with margins: figure, least, most.
MEASURED: dict[str, tuple[tuple[str, float, float], ...]] = {
    "paper-unmoved-weights": (("unmoved_share", 0.1, 0.5), ("gain", 2, 60)),
    "paper-stock-resnet": (("unmoved_share", 0.55, 0.7), ("unmoved_share_cifar", 0, 0.01), ("gain", 30, 80)),
    "paper-dead-units": (("hit_share", 0.5, 1), ("passed_share", 0.1, 1)),
    "paper-rescaling": (("hit_share", 0.1, 1), ("passed_share", 0.01, 1)),
    "paper-frozen-table": (("agreement", 0.99, 1), ("gain", 240, 256)),
    "paper-batch-norm-table": (("agreement", 0.55, 1), ("gain", 1.5, 256)),
    "paper-permutation": (("few_share", 0.9, 1), ("many_share", 0.2, 1)),
    "paper-sign-symmetry": (("few_share", 0.9, 1), ("many_share", 0.2, 1)),
    "paper-address-grinding": (("gain", 0.2, 5),),
    "paper-saturation": (("early", 0.3, 1), ("late", 0, 0.28)),
    "paper-unreachable": (("stalled_share", 0.05, 0.5), ("fresh_share", 0.3, 3)),
    "paper-rounding": (("flipped_share", 0, 1e-4),),
    "hardened-unmoved-weights": (("gain", 0.05, 1.1),),
    "hardened-linear-segments": (("least_error", 0.01, 10),),
    "hardened-within-tolerance": (("gain", 1, 1.1),),
    "hardened-withholding": (("gain", 0.1, 0.5),),
    "hardened-parallel-steps": (("gain", 0.05, 0.5),),
    "hardened-prescreened-identities": (("least_gain", 0, 1.1),),
    "hardened-prescreened-norm": (("least_gain", 0, 1.1),),
    "hardened-ground-checkpoints": (("seeds", 1, 1.15), ("foretold_share", 0, 0.1)),
    "hardened-forged-segment": (("found_share", 0.04, 0.08), ("gain_in_rewards", -1.5, -0.5)),
}


@pytest.fixture(scope="module")
def open_ground() -> Iterator[Open[Ground]]:
    with session(seed=1, size="tiny") as opened:
        yield opened


def expected_verdict(name: str) -> str:
    if BY_ID[name].is_known_limit:
        return LIMIT
    return SUCCEEDS if name.startswith("paper-") and name not in HARMLESS else HELD


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BY_ID)
def test_attack__ends_as_documented(open_ground: Open[Ground], name: str) -> None:
    outcome = carry_out(BY_ID[name], open_ground)
    assert verdict(BY_ID[name], outcome) == expected_verdict(name), outcome.evidence
    for figure, least, most in MEASURED.get(name, ()):
        assert least <= float(outcome.figures[figure]) <= most, (figure, outcome.evidence)


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", WEAKENED)
def test_forged_proof__before_credulous_verifiers__is_accepted(open_ground: Open[Ground], name: str) -> None:
    outcome = carry_out(BY_ID[name], open_ground, is_weakened=True)
    assert int(outcome.figures["accepted"]) > 0, outcome.evidence


def test_attacks__ids__are_unique() -> None:
    assert len(BY_ID) == len(ATTACKS)


def test_threat_model__gradient_section__names_every_attack_once() -> None:
    sections = (ROOT / "docs/threat-model.md").read_text().split("\n## ")
    ours = [section for section in sections if "radient" in section.partition("\n")[0]]
    assert sorted(name for section in ours for name in re.findall(r"`attack:([a-z0-9-]+)`", section)) == sorted(BY_ID)


def test_verdict__attack_that_could_not_be_carried_out__fails() -> None:
    for attack in ATTACKS:
        assert verdict(attack, Outcome(False, "could not be carried out: OSError: no disk")) == FAIL


def test_row__a_bar_in_the_evidence__does_not_break_the_table() -> None:
    cells = row(BY_ID["paper-dead-units"], Outcome(False, "|R|=16", {"gain": float("inf")}))
    assert cells[-1] == r"\|R\|=16"
    assert "free" in cells


def test_main__unknown_name__exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_main__json__is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paper-stolen-proof", "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert (document["id"], document["verdict"]) == ("paper-stolen-proof", SUCCEEDS)
    assert document["figures"] == {"gain": None}


def test_counted__run_again_with_its_results__counts_nothing_twice(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    for seed, count, expected in ((1, 7, 7), (1, 8, 7), (2, 9, 9)):
        ground = Ground(tmp_path / "store", seed, "tiny", results)
        assert ground.counted("steps", lambda count=count: count) == expected  # type: ignore[misc]
    assert [Ground(tmp_path / "store").counted("steps", lambda: 3), Ground(tmp_path).counted("steps", lambda: 4)] == [
        3,
        4,
    ]
