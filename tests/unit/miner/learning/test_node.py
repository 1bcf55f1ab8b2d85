"""The miner's memory, its sense of time, and the node itself, step by step on a real chain."""

import dataclasses
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from miner.learning.assignment import RoundTerms, check_manifest, commit_reserve_s
from miner.learning.deadline import REFRESH_S, Deadline
from miner.learning.solutions import Solutions
from miner.limits import MinerLimits, NotWorthIt
from miner.training.api import Candidate, TrainingJob
from pole.chain.contracts import LearningChain
from pole.chain.structs import AbortReason, Phase, Round
from pole.errors import InsufficientFunds, JournalError, StoreError, TransactionReverted, TransientChainError
from pole.journal.journal import Journal
from pole.storage.cid import Cid, cid_of
from pole.storage.folder import FolderStore
from pole.task.manifest import DenseMapping
from pole.task.weights import save_model
from tests.unit.commission import Commission, commission_digits, commission_iris, train_quickly
from tests.unit.local_nodes import LocalChain, LocalNodes, round_of, start_local_nodes, step_until, until_phase

ROUND = Round(
    round_id=1,
    task_id=1,
    height=1,
    anchor_block=1,
    judging_fee_gwei=0,
    previous_hash=bytes(32),
    phase=Phase.TRAINING,
    abort_reason=AbortReason.NONE,
    is_overtime=False,
    is_test_set_released=False,
    deadline=1_000,
    commits_closed_at=0,
    opened_at=0,
    earliest_close_at=0,
    commit_count=0,
    submission_count=0,
    qualified_count=0,
    revealed_count=0,
    ballot_id=0,
    first_ballot_id=0,
    keys=None,
    test_set=None,
    transcript=bytes(32),
)


SECOND = dataclasses.replace(ROUND, round_id=2)


def terms(**changes: Any) -> RoundTerms:
    return dataclasses.replace(RoundTerms(cid_of(b"manifest"), 10**18, 60, 950_000, 2, 0), **changes)


# --- terms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit_s", "given", "expected"), [(10, None, 4), (60, None, 6), (3600, None, 40), (60, 1.5, 1.5)]
)
def test_commit_reserve__by_time_limit__or_as_given(limit_s: int, given: float | None, expected: float) -> None:
    assert commit_reserve_s(terms(time_limit_s=limit_s), given) == expected


def test_check_manifest__reward_too_small__declined_with_the_option(tmp_path: Path) -> None:
    with pytest.raises(NotWorthIt, match=r"reward of 0.4 ether is below --min-reward 0.5$"):
        check_manifest(FolderStore(tmp_path), ROUND, terms(reward_wei=4 * 10**17), MinerLimits(5 * 10**17, 1))


def test_check_manifest__data_too_large__declined_with_the_option(tmp_path: Path) -> None:
    iris = commission_iris(tmp_path)
    with pytest.raises(NotWorthIt, match="--max-data-bytes is 10"):
        check_manifest(iris.store, ROUND, terms(manifest=iris.manifest_cid), MinerLimits(0, 10))


def test_check_manifest__features_too_large__declined_with_the_option(tmp_path: Path) -> None:
    iris = commission_iris(tmp_path)
    wide = iris.manifest.model_copy(update={"mapping": DenseMapping(vectors=65_536, segments=4)})
    manifest = iris.store.put(wide.to_bytes())
    with pytest.raises(NotWorthIt, match=f"features take {120 * 4 * 65_536 * 4} bytes"):
        check_manifest(iris.store, ROUND, terms(manifest=manifest), MinerLimits(0, 1 << 20))


# --- time ------------------------------------------------------------------------------------------------------------


class Chain:
    """What a deadline sees of a chain; `is_away`: the node does not answer."""

    def __init__(self) -> None:
        self.round, self.time, self.is_away = ROUND, 900, False

    def look(self) -> tuple[Round, int]:
        if self.is_away:
            raise TransientChainError("gone")
        return self.round, self.time


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The deadline's clock: set its only element."""
    now = [0.0]
    monkeypatch.setattr("miner.learning.deadline.time.monotonic", lambda: now[0])
    return now


def test_watch__reserve_reached__is_over(chain: Chain, monotonic: list[float]) -> None:
    deadline = Deadline(chain.look, 3, reserve_s=90.0)
    assert (deadline.is_over(), deadline.seconds_left()) == (False, 10.0)
    chain.time = 910
    monotonic[0] += REFRESH_S + 0.1
    assert deadline.is_over()
    assert deadline.reason == "time is up"


def test_watch__node_away__its_clock_runs_on(chain: Chain, monotonic: list[float]) -> None:
    deadline = Deadline(chain.look, 3, reserve_s=90.0)
    chain.is_away = True
    monotonic[0] += 4.0
    assert deadline.seconds_left() == 6.0
    monotonic[0] += 6.5
    assert deadline.is_over()


def test_watch__next_look_told__looks_then_and_a_second_after_a_failure(chain: Chain, monotonic: list[float]) -> None:
    asked: list[float] = []

    def look() -> tuple[Round, int]:
        asked.append(monotonic[0])
        return chain.look()

    deadline = Deadline(look, 3, 0.0, lambda current, now_s: (current.deadline - now_s) / 4)
    for monotonic[0] in (24.0, 26.0, 27.0):
        deadline.seconds_left()
    chain.is_away, chain.time = True, 920
    for monotonic[0] in (50.0, 52.0, 52.5, 53.5):
        deadline.seconds_left()
    assert asked == [0.0, 26.0, 52.0, 53.5]


def test_watch__phase_has_changed__is_over(chain: Chain, monotonic: list[float]) -> None:
    deadline = Deadline(chain.look, 3, reserve_s=0.0)
    chain.round = dataclasses.replace(ROUND, phase=Phase.RELEASE)
    assert not deadline.is_over()
    monotonic[0] += REFRESH_S + 0.1
    assert deadline.is_over()
    assert "release" in deadline.reason


def test_watch__enough_solutions_of_others__is_over_so_that_ours_still_gets_in(
    chain: Chain, monotonic: list[float]
) -> None:
    chain.round = dataclasses.replace(ROUND, qualified_count=3)
    assert not Deadline(chain.look, 4, reserve_s=0.0).is_over()
    assert Deadline(chain.look, 3, reserve_s=0.0).is_over()


# --- memory ----------------------------------------------------------------------------------------------------------


def test_solutions__model_file_damaged__says_so_and_does_not_reveal_it(journal: Journal, tmp_path: Path) -> None:
    solutions = Solutions(journal, tmp_path)
    solution = solutions.seal(ROUND, Candidate(b"model", 950_000))
    [path] = tmp_path.rglob(f"{solution.model}.safetensors")
    path.write_bytes(b"other")
    with pytest.raises(JournalError, match="damaged"):
        solutions.content(1, solution)
    path.unlink()
    with pytest.raises(JournalError, match="bond"):
        solutions.content(1, solution)


def test_solutions__sealed_twice__keeps_the_first_solution(journal: Journal, tmp_path: Path) -> None:
    first = Solutions(journal, tmp_path).seal(ROUND, Candidate(b"model", 950_000))
    again = Solutions(journal, tmp_path)
    assert again.seal(ROUND, Candidate(b"better", 990_000)) == first
    assert again.content(1, first) == b"model"
    assert again.seal(SECOND, Candidate(b"model", 950_000)).salt != first.salt


def test_solutions__previous_hash_changed__forgets_nothing_and_uses_nothing(journal: Journal, tmp_path: Path) -> None:
    """The old hash may come back, and then the old commitment stands."""
    moved, solutions = dataclasses.replace(ROUND, previous_hash=b"\1" * 32), Solutions(journal, tmp_path)
    first = solutions.seal(ROUND, Candidate(b"model", 950_000))
    assert (solutions.candidate(moved), solutions.solution(moved)) == (None, None)
    assert solutions.checkpoint_path(moved) != solutions.checkpoint_path(ROUND)
    second = solutions.seal(moved, Candidate(b"other", 960_000))
    assert (solutions.solution(ROUND), solutions.solution(moved)) == (first, second)
    assert solutions.open_rounds() == [1]


def test_solutions__solution_printed__hides_its_salt(journal: Journal, tmp_path: Path) -> None:
    solution = Solutions(journal, tmp_path).seal(ROUND, Candidate(b"model", 950_000))
    assert solution.salt.hex() not in repr(solution)
    assert repr(solution.salt) not in repr(solution)


def test_solutions__after_a_crash__has_the_best_candidate(journal: Journal, tmp_path: Path) -> None:
    Solutions(journal, tmp_path).keep(ROUND, Candidate(b"model", 900_000))
    assert Solutions(journal, tmp_path).candidate(ROUND) == Candidate(b"model", 900_000)
    assert Solutions(journal, tmp_path).candidate(SECOND) is None


def test_solutions__round_reported__is_closed_and_cleared_up(journal: Journal, tmp_path: Path) -> None:
    solutions = Solutions(journal, tmp_path)
    solutions.seal(ROUND, Candidate(b"model", 950_000))
    assert solutions.open_rounds() == [1]
    solutions.close(1, "won")
    assert solutions.open_rounds() == []
    assert not list(tmp_path.rglob("*.safetensors"))


# --- the node on a chain ---------------------------------------------------------------------------------------------


@pytest.fixture
def digits(tmp_path: Path) -> Commission:
    return commission_digits(tmp_path / "store")


@pytest.fixture
def local_nodes(digits_chain: LocalChain, digits: Commission, tmp_path: Path) -> Iterator[LocalNodes]:
    with start_local_nodes(digits_chain, tmp_path, digits, has_absent_verifier=True) as taken:
        yield taken


def never(_: TrainingJob) -> Iterator[nn.Module]:
    raise AssertionError("trained")


def test_act__nothing_to_do__waits_for_a_task(local_nodes: LocalNodes) -> None:
    waiting = local_nodes.miner(local_nodes.funded(), is_idle_allowed=False).act()
    assert waiting.what == "a task"
    assert local_nodes.miner(local_nodes.funded()).context.contracts.learning_chain.round_count() == 0


def test_act__no_verifier_seated__opens_no_round(digits_chain: LocalChain, digits: Commission, tmp_path: Path) -> None:
    with start_local_nodes(digits_chain, tmp_path, digits) as local_nodes:
        miner = local_nodes.miner(local_nodes.funded())
        assert "a verifier to take a seat" in miner.act().what
        assert miner.context.contracts.learning_chain.round_count() == 0


def test_act__too_poor_for_the_bond__says_so_and_does_not_train(local_nodes: LocalNodes) -> None:
    poor = local_nodes.miner(local_nodes.funded(4 * 10**16), trainer=never)
    until_phase([poor], Phase.TRAINING)
    with pytest.raises(InsufficientFunds, match=r"a commit needs bond and judging fee, 0.051, and gas; send it"):
        poor.act()


def test_act__manifest_not_in_the_store_yet__waits_for_it_and_then_commits(
    local_nodes: LocalNodes, digits: Commission
) -> None:
    manifest = digits.store.root / str(digits.manifest_cid)
    hidden = manifest.rename(manifest.with_name("hidden"))
    miner = local_nodes.miner(local_nodes.funded())
    step_until([miner], lambda: bool(miner.context.contracts.learning_chain.round_count()))
    waiting = miner.act()
    assert str(digits.manifest_cid) in waiting.what
    hidden.rename(manifest)
    miner.act()
    assert round_of(miner).qualified_count == 1


def test_act__keys_of_another_round__does_not_train_and_says_why(local_nodes: LocalNodes, tmp_path: Path) -> None:
    encrypted = commission_iris(local_nodes.commission.store.root, is_encrypted=True)
    client, miner = local_nodes.funded(), local_nodes.miner(local_nodes.funded(), trainer=never)
    local_nodes.submit(client, encrypted)
    until_phase([miner], Phase.KEYS)
    assert "functional keys" in miner.act().what
    wrong = encrypted.published_keys(sha256(b"another block").digest())
    assert wrong is not None
    local_nodes.publish_keys(client, round_of(miner), wrong)
    assert "those of another round" in miner.act().what
    assert round_of(miner).submission_count == 0


def test_act__encrypted_task__trains_commits_and_publishes_nothing_before_the_reveal(local_nodes: LocalNodes) -> None:
    encrypted = commission_iris(local_nodes.commission.store.root, is_encrypted=True)
    client, miner = local_nodes.funded(), local_nodes.miner(local_nodes.funded())
    local_nodes.submit(client, encrypted)
    until_phase([miner], Phase.KEYS)
    keys = encrypted.published_keys(round_of(miner).previous_hash)
    assert keys is not None
    local_nodes.publish_keys(client, round_of(miner), keys)
    before = {path.name for path in encrypted.store.root.iterdir()}
    miner.act()
    [submission] = miner.context.contracts.learning_chain.submissions(round_of(miner).round_id)
    assert submission.claimed_train_ppm >= 700_000
    assert {path.name for path in encrypted.store.root.iterdir()} == before


@pytest.mark.parametrize("failure", [RuntimeError("out of memory"), ValueError("one row"), MemoryError()])
def test_act__training_method_fails__declines_the_round_and_lives(local_nodes: LocalNodes, failure: Exception) -> None:
    def failing(_: TrainingJob) -> Iterator[nn.Module]:
        raise failure

    miner = local_nodes.miner(local_nodes.funded(), trainer=failing)
    until_phase([miner], Phase.TRAINING)
    assert f"training failed: {type(failure).__name__}" in miner.act().what


def test_act__data_takes_longer_than_the_round__is_given_up_when_it_is_over(
    local_nodes: LocalNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*given: Any) -> None:
        for row in range(100):
            given[-1](row, 100)
            local_nodes.pass_time(20)
            monkeypatch.setattr("miner.learning.deadline.REFRESH_S", 0.0)

    monkeypatch.setattr("miner.learning.lane.collect", endless)
    miner = local_nodes.miner(local_nodes.funded(), trainer=never)
    until_phase([miner], Phase.TRAINING)
    assert "of 100 rows were opened in time: time is up" in miner.act().what


def test_act__store_full_at_the_reveal__waits_and_reveals_when_there_is_room(
    local_nodes: LocalNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: bytes) -> Cid:
        raise StoreError("no space left")

    miner = local_nodes.miner(local_nodes.funded())
    with monkeypatch.context() as patched:
        patched.setattr(local_nodes.commission.store, "put", full, raising=True)
        until_phase([miner], Phase.REVEAL)
        assert "no space left" in miner.act().what
        assert round_of(miner).revealed_count == 0
    step_until([miner], lambda: round_of(miner).revealed_count == 1)


def test_act__time_runs_out_unqualified__commits_its_best_all_the_same(local_nodes: LocalNodes) -> None:
    def hopeless(job: TrainingJob) -> Iterator[nn.Module]:
        yield job.new_model()

    miner = local_nodes.miner(local_nodes.funded(), trainer=hopeless)
    until_phase([miner], Phase.TRAINING)
    assert miner.act().what == "commits to close"
    current = round_of(miner)
    assert (current.submission_count, current.qualified_count) == (1, 0)
    local_nodes.pass_time(40)
    until_phase([miner], Phase.OVERTIME)
    assert round_of(miner).submission_count == 1


def test_act__killed_after_the_commit__the_next_process_reveals(local_nodes: LocalNodes) -> None:
    account = local_nodes.funded()
    first = local_nodes.miner(account)
    step_until(
        [first],
        lambda: first.context.contracts.learning_chain.round_count() > 0 and round_of(first).submission_count == 1,
    )
    second = local_nodes.miner(account, trainer=never)
    step_until([second], lambda: round_of(second).revealed_count == 1)
    [submission] = second.context.contracts.learning_chain.submissions(round_of(second).round_id)
    solution = second.solutions.solution(round_of(second))
    assert solution is not None
    assert submission.model == solution.model
    assert local_nodes.commission.store.has(solution.model)


def test_act__sealed_but_not_committed_when_killed__the_next_process_commits_that(
    local_nodes: LocalNodes, digits: Commission, tmp_path: Path
) -> None:
    account = local_nodes.funded()
    first = local_nodes.miner(account, trainer=never)
    with pytest.raises(AssertionError, match="trained"):
        step_until([first], lambda: False)
    current = round_of(first)
    features = digits.features(tmp_path / "cache", current.previous_hash)
    content = save_model(train_quickly(digits.new_model(), features.train_x, features.train_y))
    first.solutions.seal(current, Candidate(content, 950_000))
    second = local_nodes.miner(account, trainer=never)
    second.act()
    [submission] = second.context.contracts.learning_chain.submissions(current.round_id)
    assert submission.claimed_train_ppm == 950_000


def reorganised(local_nodes: LocalNodes, current: Round) -> None:
    """A reorganisation takes back all blocks after the round's opening, and others come in their place."""
    # Blocks of the same second would be the same blocks: these are of another miner than any before.
    local_nodes.rpc("anvil_setCoinbase", "0x" + local_nodes.web3.eth.get_block("latest")["hash"].hex()[-40:])
    depth = local_nodes.web3.eth.block_number - current.anchor_block + 1
    local_nodes.rpc("anvil_reorg", depth, [])
    local_nodes.pass_time(3)
    local_nodes.rpc("anvil_reorg", 3, [])


def test_act__previous_hash_changed_after_sealing__commits_nothing_that_was_trained_under_the_old_one(
    local_nodes: LocalNodes,
) -> None:
    """Under another mapping the claim would be false, and the bond lost."""
    miner = local_nodes.miner(local_nodes.funded())
    until_phase([miner], Phase.TRAINING)
    before = round_of(miner)
    stale = miner.solutions.seal(before, Candidate(b"a model of the old mapping", 999_999))
    reorganised(local_nodes, before)
    now = round_of(miner)
    assert (now.round_id, now.phase) == (before.round_id, Phase.TRAINING)
    assert now.previous_hash != before.previous_hash
    miner.act()
    [submission] = miner.context.contracts.learning_chain.submissions(now.round_id)
    solution = miner.solutions.solution(now)
    assert solution is not None
    assert solution.model != stale.model
    assert submission.claimed_train_ppm == solution.train_ppm < 999_999


def test_act__previous_hash_changes_while_it_trains__seals_nothing_and_trains_anew(local_nodes: LocalNodes) -> None:
    current: list[Round] = []

    def interrupted(job: TrainingJob) -> Iterator[nn.Module]:
        yield job.new_model()
        if not current:
            current.append(round_of(miner))
            reorganised(local_nodes, current[0])

    miner = local_nodes.miner(local_nodes.funded(), trainer=interrupted)
    until_phase([miner], Phase.TRAINING)
    assert miner.act().what == "the previous hash, which a reorganisation has changed"
    assert miner.solutions.solution(current[0]) is None
    assert round_of(miner).submission_count == 0
    miner.act()
    assert round_of(miner).submission_count == 1


def test_act__place_taken_by_a_higher_bond__gives_the_round_up(
    local_nodes: LocalNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commit is on chain, and it is in the round no more."""
    sent: list[int] = []
    miner = local_nodes.miner(local_nodes.funded())
    until_phase([miner], Phase.TRAINING)
    monkeypatch.setattr(LearningChain, "commit", lambda self, round_id, *_, **__: sent.append(round_id))
    assert "all places are taken by higher bonds" in miner.act().what
    assert "all places are taken by higher bonds" in miner.act().what
    assert len(sent) == 1


def test_act__round_full_of_higher_bonds__gives_the_round_up(
    local_nodes: LocalNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise TransactionReverted("RoundFull", {}, "RoundFull")

    miner = local_nodes.miner(local_nodes.funded())
    until_phase([miner], Phase.TRAINING)
    monkeypatch.setattr(LearningChain, "commit", refused)
    assert "all places are taken by higher bonds" in miner.act().what
