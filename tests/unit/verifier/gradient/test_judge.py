"""The process that replays proposals: what it finds valid, invalid, unavailable and hopeless."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pole.chain.gradient_structs import Proposal
from pole.gradient.verification import BlockClaim
from pole.storage.cid import Cid, cid_of
from pole.storage.store import open_store
from tests.unit.gradient_task import GradientTask, digits_task
from verifier.gradient.messages import GradientCase
from verifier.gradient.proposals import Docket
from verifier.judging.messages import Limits
from verifier.judging.process import Judge
from verifier.judging.session import Session, judge_entries

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(Limits(), "verifier.gradient.judge") as started:
        yield started


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> GradientTask:
    return digits_task(open_store(str(tmp_path_factory.mktemp("store"))))


def judged(judge: Judge, task: GradientTask, *claims: BlockClaim, manifest: Cid | None = None) -> Session:
    """What the process finds of proposals on the first claim's header."""
    first = claims[0]
    case = GradientCase(
        store=task.store.location,
        manifest=str(manifest or task.store.put(task.manifest.to_bytes())),
        rules="hardened",
        previous_hash=first.previous_hash.hex(),
        previous_weights=str(first.previous_weights),
    )
    docket = Docket(case, task.manifest)
    proposals = [Proposal(c.miner, c.step, c.sign_digest, c.threshold, 0, c.proof, c.weights) for c in claims]
    request = docket.request(proposals, None)
    judge_entries(judge, request, range(len(claims)), docket.session, time.monotonic() + 120)
    return docket.session


def test_judge__wrong_digest_and_stranger_beside_an_honest_proposal__only_that_one_is_valid(
    judge: Judge, task: GradientTask
) -> None:
    honest = task.mined(min_step=10).claim
    session = judged(judge, task, replace(honest, sign_digest=0), replace(honest, miner="0x" + "33" * 20), honest)
    found = [session.opinions[entry].verdict.is_valid for entry in range(3)]
    assert found == [False, False, True]
    assert session.opinions[2].verdict.test_ppm > 0
    assert "digest" in session.opinions[0].reason


def test_judge__proof_not_in_the_store__unavailable_and_no_opinion(judge: Judge, task: GradientTask) -> None:
    session = judged(judge, task, replace(task.mined().claim, proof=cid_of(b"nobody has this")))
    assert (list(session.unavailable), session.opinions) == ([0], {})


def test_judge__manifest_that_is_none__every_proposal_is_invalid(judge: Judge, task: GradientTask) -> None:
    session = judged(judge, task, task.mined().claim, manifest=task.store.put(b"no manifest"))
    assert not session.opinions[0].verdict.is_valid
    assert "ManifestInvalid" in session.opinions[0].reason


def test_judge__manifest_missing__nothing_is_blamed_on_a_miner(judge: Judge, task: GradientTask) -> None:
    session = judged(judge, task, task.mined().claim, manifest=cid_of(b"missing"))
    assert session.opinions == {}
    assert "ContentNotFound" in session.problem


def test_judge__task_on_chain_has_other_rules__hopeless(judge: Judge, task: GradientTask, tmp_path: Path) -> None:
    paper = task.manifest.model_copy(update={"rules": "paper", "requirement_count": 3})
    session = judged(judge, task, task.mined().claim, manifest=task.store.put(paper.to_bytes()))
    assert "rules" in session.opinions[0].reason
