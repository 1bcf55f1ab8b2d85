"""Every attack of `make attack` fails, succeeds once its defence is taken out, and has its row in the threat model."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from attacks.learning.__main__ import ATTACKS
from attacks.learning.ground import Ground, session
from attacks.record import Attack, Open, Outcome, carry_out
from attacks.show import FAIL, LIMIT, PASS, Result, main
from pole.errors import BadInput
from testbed.artifacts import Edit, compiled_with
from tests.paths import ROOT

NAMED = re.compile(r"`attack:([a-z0-9-]+)`")
BY_ID = {attack.id: attack for attack in ATTACKS}
WEAKENED = [attack.id for attack in ATTACKS if attack.weakening is not None]

# What each attack meets, by the name of the figure that says so.
MET: dict[str, dict[str, object]] = {
    "copy-committed": {"error": "CommitmentMismatch"},
    "copy-revealed": {"error": "CommitmentMismatch", "late": "WrongPhase"},
    "replay-round": {"error": "CommitmentMismatch"},
    "replay-contract": {"error": "CommitmentMismatch"},
    "replay-chain": {"error": "CommitmentMismatch"},
    "commit-after-release": {"errors": "WrongPhase WrongPhase WrongPhase"},
    "front-run-commit": {"error": "CommitmentMismatch"},
    "front-run-reveal": {"error": "CommitmentMismatch"},
    "front-run-finalise": {"gained_wei": 0},
    "release-same-block": {"error": "ReleaseTooEarly"},
    "test-set-substitution": {"errors": "CommitmentMismatch"},
    "selective-release": {"lost_wei": 11 * 10**17},
    "label-brute-force": {"guesses": 16_384, "found": ""},
    "withheld-keys": {"held_s": 3_600},
    "wrong-keys": {"said": "altered: KeyRefused of another round: KeyRefused missing: KeyRefused"},
    "release-without-content": {"is_missed": True, "is_better": True, "returned_wei": 0},
    "free-riding": {"lost_wei": 4 * 10**17, "gained_wei": 0},
    "voting-unavailable": {"lost_wei": 8 * 10**16, "gained_wei": 0},
    "hidden-list": {"error": "MissingList", "lost_wei": 4 * 10**17},
    "omitted-list": {"error": "MissingList", "honest_lost_wei": 0},
    "late-test-set": {"lost_wei": 0},
    "half-undecides": {"got_wei": 10**18 + 245 * 10**14},
    "copy-vote": {"error": "CommitmentMismatch", "lost_wei": 4 * 10**17},
    "replay-vote": {"error": "CommitmentMismatch"},
    "late-vote": {"error": "WrongBallotPhase", "then": "NotCommitted"},
    "third-flips": {"lost_wei": 12 * 10**17},
    "third-absent": {"lost_wei": 24 * 10**16},
    "half-flips": {"honest_lost_wei": 0, "lost_wei": 0, "ballots": 2},
    "third-flips-while-absent": {"honest_lost_wei": 0},
    "half-voids": {"cost_wei": 0, "refund_wei": 10**18},
    "forced-ether": {"surplus_wei": 10**18, "error": "NothingToWithdraw", "paid": "accepted"},
    "sybil-ommers": {"tokens_with_1": 162, "tokens_with_5": 162},
    "self-dealing": {"tokens": 65},
    "never-reveal": {"lost_wei": 3 * 10**17},
    "junk-commits": {"error": "RoundFull"},
    "held-chain": {"price_wei": 10**18 * 626_400 // 22_200 + 10**9},
    "false-claims": {"lost_wei": 10**17 + 245 * 10**14, "fee_wei": 10**17},
    "provoked-rounding": {"verdicts": 1},
    "pickle": {"is_run": False},
    "manifest-of-1-gb": {"error": "ContentTooLarge"},
}


@pytest.fixture(scope="module")
def open_ground() -> Iterator[Open[Ground]]:
    with session() as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BY_ID)
def test_attack__meets_its_defence(open_ground: Open[Ground], name: str) -> None:
    attack = BY_ID[name]
    outcome = carry_out(attack, open_ground)
    assert outcome.defended != attack.is_known_limit, outcome.evidence
    expected = MET.get(name, {})
    assert {figure: outcome.figures[figure] for figure in expected} == expected


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", WEAKENED)
def test_attack__without_its_defence__succeeds(open_ground: Open[Ground], name: str) -> None:
    outcome = carry_out(BY_ID[name], open_ground, is_weakened=True)
    assert not outcome.defended, outcome.evidence


def test_attacks__all_but_known_limits__have_a_weakening() -> None:
    assert {attack.id for attack in ATTACKS if attack.weakening is None} == {
        attack.id for attack in ATTACKS if attack.is_known_limit
    }


def test_weakenings__edits__fit_the_sources() -> None:
    edits = {edit for attack in ATTACKS if attack.weakening for edit in attack.weakening.edits}
    counts = {edit: (ROOT / "contracts" / edit.file).read_text().count(edit.passage) for edit in edits}
    assert {edit: count for edit, count in counts.items() if count != 1} == {}
    assert len(counts) > 20


def test_compiled_with__passage_that_is_not_there__is_refused() -> None:
    with pytest.raises(BadInput, match="once"):
        compiled_with((Edit("RewardToken.sol", "onlyOwner", ""),))


def test_attacks__ids__are_unique() -> None:
    assert len(BY_ID) == len(ATTACKS)


def test_threat_model__names_every_attack_once() -> None:
    sections = (ROOT / "docs/threat-model.md").read_text().split("\n## ")
    ours = [section for section in sections if "radient" not in section.partition("\n")[0]]
    assert sorted(name for section in ours for name in NAMED.findall(section)) == sorted(BY_ID)


# --- the record and the printing, on attacks made up ------------------------------------------------------------------


def made_up(defended: bool, **changes: Any) -> Attack[None]:
    given: dict[str, Any] = {"id": "made-up", "family": "none", "what": "try", "is_known_limit": False}
    return Attack(run=lambda _: Outcome(defended, "said", {"figure": 1}), **(given | changes))


class _Nothing:
    """A session over nothing."""

    def __enter__(self) -> Any:
        return lambda _weakening: self.Ground()

    def __exit__(self, *_: object) -> None:
        pass

    class Ground:
        def __enter__(self) -> None:
            return None

        def __exit__(self, *_: object) -> None:
            pass


@pytest.mark.parametrize(
    ("defended", "is_weakened", "is_known_limit", "verdict"),
    [
        (True, False, False, PASS),
        (False, False, False, FAIL),
        (True, True, False, FAIL),
        (False, True, False, PASS),
        (False, False, True, LIMIT),
    ],
)
def test_result__verdict(defended: bool, is_weakened: bool, is_known_limit: bool, verdict: str) -> None:
    attack = made_up(defended, is_known_limit=is_known_limit)
    assert Result(attack, attack.run(None), is_weakened).verdict == verdict


@pytest.mark.parametrize("is_weakened", [False, True])
def test_carry_out__attack_that_cannot_be_carried_out__is_no_pass(is_weakened: bool) -> None:
    def fail(_: None) -> Outcome:
        raise RuntimeError("no node")

    attack = Attack[None](id="x", family="none", what="try", run=fail)
    with _Nothing() as open_ground:
        outcome = carry_out(attack, open_ground, is_weakened)
    assert Result(attack, outcome, is_weakened).verdict == FAIL
    assert "no node" in outcome.evidence


def test_main__attack_that_succeeds__exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([made_up(True)], _Nothing, []) == 0
    assert main([made_up(True), made_up(False, id="other")], _Nothing, []) == 1
    out = capsys.readouterr().out
    assert "FAIL" in out
    assert "1 held, 1 broken, 0 known limits" in out


def test_main__known_limit__does_not_count() -> None:
    assert main([made_up(False, is_known_limit=True)], _Nothing, []) == 0


def test_main__unknown_name__exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([made_up(True)], _Nothing, ["nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_main__json__is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert main([made_up(True)], _Nothing, ["--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["counts"] == {"pass": 1, "FAIL": 0, "limit": 0}
    assert document["attacks"][0]["figures"] == {"figure": 1}
