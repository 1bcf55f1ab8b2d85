"""What a verifier still has to replay, and what it votes in the end."""

from pathlib import Path

import pytest

from pole.chain.contracts.gradient_chain import SegmentsReport
from pole.chain.gradient_structs import Proposal
from pole.chain.verdicts import INVALID
from pole.gradient.manifest import GradientManifest
from pole.storage.cid import cid_of
from pole.storage.store import open_store
from testbed import rounds
from tests.unit.gradient_task import MINER, OTHER_MINER, PREVIOUS_HASH, digits_task
from verifier.gradient.messages import HeightInputs, ProposalsRequest
from verifier.gradient.proposals import HeightReview
from verifier.judging.session import Judgement

VALID = rounds.scored(1, 2)
MEMBERS = [f"0x{digit * 40}" for digit in "123"]


@pytest.fixture
def manifest(tmp_path: Path) -> GradientManifest:
    return digits_task(open_store(str(tmp_path)), segments="divided", redundancy=1).manifest


@pytest.fixture
def review(manifest: GradientManifest) -> HeightReview:
    cid = str(cid_of(b"any"))
    inputs = HeightInputs(
        store="store", manifest=cid, rules="hardened", previous_hash=PREVIOUS_HASH.hex(), previous_weights=cid
    )
    return HeightReview(inputs, manifest)


def proposal(miner: str, step: int) -> Proposal:
    return Proposal(miner, step, 5, 9, 1, cid_of(b"proof"), cid_of(b"weights"))


def test_shares__no_redundancy__everybody_has_the_last_and_each_other_is_one_members(review: HeightReview) -> None:
    proposals = [proposal(MINER, 41), proposal(OTHER_MINER, 8)]  # six segments of eight steps, and one
    found = review.shares(proposals, PREVIOUS_HASH, MEMBERS, [1, 1])
    shares = [found[member] for member in MEMBERS]
    assert [share[1] for share in shares] == [frozenset({0})] * 3
    assert all(5 in share[0] for share in shares)
    others = [index for share in shares for index in share[0] - {5}]
    assert sorted(others) == [0, 1, 2, 3, 4]


def test_request__some_entries__asks_for_their_segments_only(review: HeightReview) -> None:
    proposals = [proposal(MINER, 41), proposal(OTHER_MINER, 8)]
    request = review.request(proposals, {0: frozenset({3, 1}), 1: frozenset({0})})([0])
    assert isinstance(request, ProposalsRequest)
    [claim] = request.claims
    assert (claim.entry, claim.miner, claim.segments) == (0, MINER, [1, 3])


def test_suspects__others_reports__only_what_looks_valid_and_was_not_replayed_here(review: HeightReview) -> None:
    review.session.judgements = {0: Judgement(VALID, ""), 1: Judgement(INVALID, "bad", 1)}
    shares = {member: {0: frozenset({1, 4, 5}), 1: frozenset({0})} for member in MEMBERS}
    shares[MEMBERS[0]] = {0: frozenset({0, 5}), 1: frozenset({0})}
    reports = [
        SegmentsReport(MEMBERS[0], entry=0, wrong_segments=0b00001),
        SegmentsReport(MEMBERS[1], entry=0, wrong_segments=0b00010),
        SegmentsReport(MEMBERS[2], entry=0, wrong_segments=0b10000),
        SegmentsReport(MEMBERS[1], entry=1, wrong_segments=0b00010),
        SegmentsReport(MEMBERS[2], entry=7, wrong_segments=0b00001),
    ]
    assert review.suspects(reports, shares, MEMBERS[0]) == {0: frozenset({1, 4})}


def test_suspects__accuser_names_what_it_had_not_to_look_at__is_believed_one_segment(review: HeightReview) -> None:
    review.session.judgements = {0: Judgement(VALID, "")}
    shares = {MEMBERS[0]: {0: frozenset({9})}, MEMBERS[1]: {0: frozenset({6, 7, 9})}}
    everything = SegmentsReport(MEMBERS[1], entry=0, wrong_segments=(1 << 9) - 1)
    assert review.suspects([everything], shares, MEMBERS[0]) == {0: frozenset({0, 6, 7})}
    stranger = SegmentsReport(MEMBERS[2], entry=0, wrong_segments=0b1)
    assert review.suspects([stranger], shares, MEMBERS[0]) == {}


def test_suspects__segments_that_the_proposal_has_not__are_no_accusation(review: HeightReview) -> None:
    """Else one member could have every honest miner condemned: a proof that lacks a segment is invalid."""
    review.session.judgements = {0: Judgement(VALID, "")}
    shares = {member: {0: frozenset({index, 9})} for index, member in enumerate(MEMBERS)}
    beyond = SegmentsReport(MEMBERS[1], entry=0, wrong_segments=1 << 255 | 1 << 10)
    assert review.suspects([beyond], shares, MEMBERS[0]) == {}


def test_words__second_look__overrules_the_first(review: HeightReview) -> None:
    review.session.judgements = {0: Judgement(VALID, ""), 1: Judgement(VALID, "")}
    review.recheck.judgements = {1: Judgement(INVALID, "segment 3", 0b1000)}
    assert [each.word for each in review.judged(2)] == [VALID, INVALID]


def test_shares__sampled__as_many_as_each_miners_bond_asks_for(
    review: HeightReview, manifest: GradientManifest
) -> None:
    sampled = manifest.model_copy(update={"segments": "sampled"})
    rich, poor = 10**18, 10**9
    drawn = HeightReview(review.inputs, sampled, reward_wei=10**15)
    shares = drawn.shares([proposal(MINER, 512), proposal(MINER, 512)], bytes(32), MEMBERS, [rich, poor])
    assert [len(shares[member][0]) for member in MEMBERS] == [3] * len(MEMBERS)
    assert [shares[member][1] for member in MEMBERS] == [frozenset(range(64))] * len(MEMBERS)
    assert len({shares[member][0] for member in MEMBERS}) > 1


def test_is_shared__manifest_cannot_be_read__false(review: HeightReview) -> None:
    assert review.is_shared
    assert not HeightReview(review.inputs, None).is_shared
