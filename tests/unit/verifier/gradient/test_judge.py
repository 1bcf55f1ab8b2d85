"""The process that replays proposals: what it finds valid, invalid, unavailable and hopeless."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pole.chain.gradient_structs import Proposal
from pole.chain.structs import Verdict, VerdictKind
from pole.gradient.claim import BlockClaim
from pole.storage.cid import Cid, cid_of
from pole.storage.store import open_store
from tests.unit.gradient_task import GradientTask, digits_task
from verifier.gradient.messages import HeightInputs
from verifier.gradient.proposals import HeightReview
from verifier.judging.messages import JudgingLimits
from verifier.judging.process import JudgingProcess
from verifier.judging.session import Session, judge_entries

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def judge() -> Iterator[JudgingProcess]:
    with JudgingProcess(JudgingLimits(), "verifier.gradient.judge") as started:
        yield started


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> GradientTask:
    return digits_task(open_store(str(tmp_path_factory.mktemp("store"))))


def judged(judge: JudgingProcess, task: GradientTask, *claims: BlockClaim, manifest: Cid | None = None) -> Session:
    """What the process finds of proposals on the first claim's header."""
    first = claims[0]
    inputs = HeightInputs(
        store=task.store.location,
        manifest=str(manifest or task.store.put(task.manifest.to_bytes())),
        rules="hardened",
        previous_hash=first.previous_hash.hex(),
        previous_weights=str(first.previous_weights),
    )
    review = HeightReview(inputs, task.manifest)
    proposals = [Proposal(c.miner, c.step, c.sign_digest, c.threshold, 0, c.proof, c.weights) for c in claims]
    request = review.request(proposals, None)
    judge_entries(judge, request, range(len(claims)), review.session, time.monotonic() + 120)
    return review.session


def test_judge__wrong_digest_and_stranger_beside_an_honest_proposal__only_that_one_is_valid(
    judge: JudgingProcess, task: GradientTask
) -> None:
    honest = task.mined(min_step=10).claim
    session = judged(judge, task, replace(honest, sign_digest=0), replace(honest, miner="0x" + "33" * 20), honest)
    found = [session.judgements[entry].verdict.is_valid for entry in range(3)]
    assert found == [False, False, True]
    assert session.judgements[2].verdict.test_ppm > 0
    assert session.judgements[2].is_final
    assert "digest" in session.judgements[0].reason


def test_judge__proof_not_in_the_store__unavailable_and_no_judgement(judge: JudgingProcess, task: GradientTask) -> None:
    session = judged(judge, task, replace(task.mined().claim, proof=cid_of(b"nobody has this")))
    assert (list(session.unavailable), session.judgements) == ([0], {})
    session.give_up([0])
    assert session.judgements[0].verdict == Verdict(VerdictKind.UNAVAILABLE, 0, VerdictKind.UNAVAILABLE, 0)


def test_judge__manifest_that_is_none__every_proposal_is_invalid(judge: JudgingProcess, task: GradientTask) -> None:
    session = judged(judge, task, task.mined().claim, manifest=task.store.put(b"no manifest"))
    assert not session.judgements[0].verdict.is_valid
    assert "ManifestInvalid" in session.judgements[0].reason


def test_judge__manifest_missing__nothing_is_blamed_on_a_miner(judge: JudgingProcess, task: GradientTask) -> None:
    session = judged(judge, task, task.mined().claim, manifest=cid_of(b"missing"))
    assert session.judgements == {}
    assert "ContentNotFound" in session.problem
    session.give_up([0])
    assert session.judgements[0].verdict == Verdict(VerdictKind.WITHHELD, 0, VerdictKind.WITHHELD, 0)


def test_judge__task_on_chain_has_other_rules__hopeless(
    judge: JudgingProcess, task: GradientTask, tmp_path: Path
) -> None:
    paper = task.manifest.model_copy(update={"rules": "paper", "requirement_count": 3})
    session = judged(judge, task, task.mined().claim, manifest=task.store.put(paper.to_bytes()))
    assert "rules" in session.judgements[0].reason
