"""Votes that are cast, opened and counted on the real contracts; what is voted is made up."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from pole.chain.client import ChainClient
from pole.chain.profiles import PUBLIC
from pole.chain.structs import Ballot, BallotPhase, Phase, Round, VerdictKind
from pole.chain.verdicts import INVALID, unpack_verdicts
from pole.errors import ContentNotFound, JournalError
from pole.exact.published import EntryRows, pack_rows, read_published, unpack_rows
from pole.journal.journal import Journal
from pole.learning.advance import advance_due
from pole.node.context import RoleContext, context_of
from pole.node.loop import Waiting
from pole.storage.cid import cid_of
from pole.storage.folder import FolderStore
from testbed import rounds
from testbed.artifacts import compiled
from testbed.chain import development_chain, undone, web3_at
from testbed.contracts import ACCOUNTS, Chain, development_key
from testbed.deployer import deploy_with_web3
from verifier.judging.messages import JudgingLimits
from verifier.judging.session import Judgement
from verifier.learning.voting import LearningVoting
from verifier.votes import VoteBook

pytestmark = pytest.mark.slow

GOOD = [rounds.good(940_000), rounds.good(930_000)]
OTHER = [rounds.good(940_000), INVALID]
NOISE_WEI = rounds.STAKE_WEI * PUBLIC.committee.noise_penalty_ppm // 1_000_000


def found(words: Sequence[int]) -> list[Judgement]:
    """As a judging process finds them, with predictions of three rows."""
    rows = EntryRows(train=pack_rows(np.array([0, 1, 2])), test=pack_rows(np.array([2])))
    return [Judgement(word, "", rows=rows) for word in words]


class Table:
    """The vote books of four verifiers of equal stake."""

    def __init__(self, chain: Chain, rpc_url: str, folder: Path, resources: ExitStack) -> None:
        self.chain, self._rpc_url, self._folder, self._resources = chain, rpc_url, folder, resources
        self._journals: dict[str, Journal] = {}
        self.books: dict[int, VoteBook] = {}
        self.is_restarting = False

    @property
    def round(self) -> Round:
        return rounds.latest(self.chain)

    @property
    def ballot(self) -> Ballot:
        return self.chain.contracts.verifier_committee.ballot(self.round.ballot_id)

    @property
    def outcome(self) -> list[object]:
        return list(self.chain.contracts.verifier_committee.outcome(self.ballot.ballot_id))

    def lost_wei(self, index: int) -> int:
        stake_wei = self.chain.contracts.verifier_committee.verifier(self.chain.verifier(index)).stake_wei
        return rounds.STAKE_WEI - stake_wei

    def opened(self) -> int:
        return len(self.chain.contracts.verifier_committee._client.logs("VerifierCommittee", "VoteOpened"))

    def context(self, account_index: int) -> RoleContext:
        """Of a development account, with the same journal each time, as after a restart."""
        account, name = development_key(account_index), f"{account_index}"
        if name not in self._journals:
            journal = Journal(self._folder / f"{name}.sqlite", is_exclusive=False)
            self._journals[name] = self._resources.enter_context(journal)
        client = ChainClient.connect(self._rpc_url, self.chain.deployment, poll_s=0.05)
        store = FolderStore(self._folder / "store")
        return context_of("verifier", client, account, self._journals[name], store, self._folder, poll_s=0.05)

    def book(self, index: int) -> VoteBook:
        if self.is_restarting or index not in self.books:
            self.books[index] = VoteBook(self.context(13 + index))
        return self.books[index]

    def act(self, index: int, words: Sequence[int]) -> Waiting:
        """One pass of verifier `index`, which finds these words; of the last models, if the ballot is over fewer."""
        book = self.book(index)
        context = book._context
        advance_due(context.chain, context.contracts, context.address, is_hurried=True, own=book.own_list)
        ballot = self.ballot
        return book.carry(ballot, lambda: book.decide(ballot.ballot_id, found(words[-ballot.entry_count :])))

    def until(self, is_done: Callable[[], bool], *votes: Sequence[int]) -> None:
        """Passes of verifiers 0, 1..., which vote so."""
        for _ in range(8):
            for index, words in enumerate(votes):
                if is_done():
                    return
                self.act(index, words)
        assert is_done(), self.ballot

    def is_in(self, phase: BallotPhase) -> Callable[[], bool]:
        return lambda: self.ballot.phase is phase

    def pass_deadline(self) -> None:
        rounds.wait_for(self.chain, self.ballot.deadline)


@pytest.fixture(scope="module")
def voting() -> Iterator[tuple[str, Chain]]:
    """A node's address, and the chain on it: a round with two revealed models in its ballot."""
    with development_chain(block_time_s=None, accounts=ACCOUNTS) as node:
        web3, artifacts = web3_at(node.rpc_url), compiled()
        deployment = deploy_with_web3(web3, development_key(0), PUBLIC, cid_of(b"idle"), artifacts)
        chain = Chain(web3, deployment, artifacts)
        rounds.seat(chain, 4)
        rounds.submit(chain)
        rounds.to_voting(chain, rounds.open_round(chain), chain.miner(0), chain.miner(1))
        yield node.rpc_url, chain


@pytest.fixture
def table(voting: tuple[str, Chain], tmp_path: Path) -> Iterator[Table]:
    rpc_url, chain = voting
    with undone(chain.web3), ExitStack() as resources:
        yield Table(chain, rpc_url, tmp_path, resources)


def test_carry__all_vote_alike__counted_at_once_and_nothing_is_opened(table: Table) -> None:
    table.until(table.is_in(BallotPhase.CLOSED), *[GOOD] * 4)
    assert table.outcome == unpack_verdicts(GOOD)
    assert table.opened() == 0
    committee = table.chain.contracts.verifier_committee
    assert committee.outcome_digest(1) == committee.digest(1, GOOD)


@pytest.mark.parametrize("is_restarting", [False, True])
def test_carry__one_differs__counted_by_whoever_has_all_lists_before_the_deadline(
    table: Table, is_restarting: bool
) -> None:
    table.is_restarting = is_restarting
    table.until(table.is_in(BallotPhase.CLOSED), GOOD, GOOD, GOOD, OTHER)
    assert table.opened() == 1  # the other list is that of whoever counts
    assert table.outcome == unpack_verdicts(GOOD)
    assert [table.lost_wei(i) for i in range(4)] == [0, 0, 0, NOISE_WEI]


def test_carry__list_is_hidden__the_others_decide_after_the_deadline(table: Table) -> None:
    table.until(table.is_in(BallotPhase.REVEAL), GOOD, GOOD, GOOD, OTHER)
    hidden = table.book(3)
    member = table.chain.contracts.verifier_committee.member(1, table.chain.verifier(3))
    hidden.reveal(table.ballot, member, hidden.decide(1, found(OTHER)))
    table.until(lambda: table.opened() == 1, *[GOOD] * 3)
    table.until(lambda: True, *[GOOD] * 3)
    assert table.ballot.phase is BallotPhase.OPENING
    table.pass_deadline()
    table.until(table.is_in(BallotPhase.CLOSED), *[GOOD] * 3)
    assert (table.outcome, table.lost_wei(3)) == (unpack_verdicts(GOOD), NOISE_WEI)


def test_advance_due__role_without_a_list__counts_by_the_lists_that_were_opened(table: Table) -> None:
    table.until(table.is_in(BallotPhase.OPENING), GOOD, GOOD, GOOD, OTHER)
    miner = table.context(3)
    assert not advance_due(miner.chain, miner.contracts, miner.address, is_hurried=True)
    committee = table.chain.contracts.verifier_committee
    for index, words in ((0, GOOD), (3, OTHER)):
        verifier = table.chain.verifier(index)
        if not committee.is_opened(1, committee.digest(1, words)):
            table.chain.do(verifier, "VerifierCommittee", "openVote", 1, index, words)
    assert advance_due(miner.chain, miner.contracts, miner.address, is_hurried=True)
    assert table.outcome == unpack_verdicts(GOOD)
    assert table.round.phase is Phase.FINALISED


def test_advance_due__reveals_are_complete__left_to_those_with_a_list_until_the_deadline(table: Table) -> None:
    table.until(table.is_in(BallotPhase.REVEAL), *[GOOD] * 4)
    for index in range(4):
        table.book(index).carry(table.ballot, lambda: Waiting("nothing", None, ""))
    miner = table.context(3)
    assert not advance_due(miner.chain, miner.contracts, miner.address, is_hurried=True)
    table.pass_deadline()
    advance_due(miner.chain, miner.contracts, miner.address, is_hurried=True)
    assert table.ballot.phase is BallotPhase.OPENING
    table.act(0, GOOD)
    assert (table.ballot.phase, table.outcome) == (BallotPhase.CLOSED, unpack_verdicts(GOOD))


def test_carry__alike_but_uncounted_for_half_of_the_time__opened_all_the_same(table: Table) -> None:
    table.until(table.is_in(BallotPhase.REVEAL), *[GOOD] * 4)
    for index in range(4):
        table.book(index).carry(table.ballot, lambda: Waiting("nothing", None, ""))
    table.chain.do(table.chain.anyone, "VerifierCommittee", "advance", 1)
    table.book(1).carry(table.ballot, lambda: Waiting("nothing", None, ""))
    assert table.opened() == 0
    table.chain.pass_time(PUBLIC.committee.vote_opening_window_s // 2)
    for index in range(4):
        table.book(index).carry(table.ballot, lambda: Waiting("nothing", None, ""))
    assert table.opened() == 1
    table.pass_deadline()
    miner = table.context(3)
    advance_due(miner.chain, miner.contracts, miner.address, is_hurried=True)
    assert table.outcome == unpack_verdicts(GOOD)


def test_carry__one_model_undecided__the_second_ballot_is_over_it_alone(table: Table) -> None:
    table.until(lambda: table.round.first_ballot_id == 1, GOOD, GOOD, OTHER, OTHER)
    assert (table.round.ballot_id, table.ballot.entry_count) == (2, 1)
    voting = LearningVoting(table.context(13), JudgingLimits(), 3.0)
    assert voting._entries(table.round, table.ballot) == [1]
    table.until(lambda: table.round.phase is Phase.FINALISED, *[GOOD] * 4)
    committee = table.chain.contracts.verifier_committee
    assert committee.repeated_outcome(1, 2) == unpack_verdicts(GOOD)
    assert rounds.winner(table.chain) == table.chain.miner(0)


def test_entries__first_ballot__all_that_were_revealed(table: Table) -> None:
    voting = LearningVoting(table.context(13), JudgingLimits(), 3.0)
    assert voting._entries(table.round, table.ballot) == [0, 1]


def test_carry__reorg_takes_the_reveal_back__revealed_again(table: Table) -> None:
    table.until(table.is_in(BallotPhase.REVEAL), *[GOOD] * 4)
    snapshot = table.chain.rpc("evm_snapshot")
    table.act(1, GOOD)
    table.chain.rpc("evm_revert", snapshot)
    committee = table.chain.contracts.verifier_committee
    assert not any(committee.member(1, table.chain.verifier(1)).digest)
    table.act(1, GOOD)
    assert committee.member(1, table.chain.verifier(1)).digest == committee.digest(1, GOOD)


def test_decide__again__the_first_decision_stands(table: Table) -> None:
    first = table.book(0).decide(1, found(GOOD))
    assert table.book(0).decide(1, found(OTHER)) == first
    assert unpack_verdicts(first.words)[0].train == VerdictKind.SCORED


def test_recall__vote_of_an_old_version__refused_by_name(table: Table) -> None:
    table.context(13).journal.remember("vote/1", {"verdicts": [[True, 1, 2]], "salt": "00" * 32})
    with pytest.raises(JournalError, match=r"the vote on ballot 1 .* older than exact verdicts"):
        table.book(0).recall(1)


def test_reveal__predictions__published_with_the_reveal_and_not_before(table: Table) -> None:
    for index in range(4):
        table.act(index, GOOD)
    assert table.ballot.committed_count == 4
    committee, store = table.chain.contracts.verifier_committee, table.context(13).store
    assert committee.published_predictions(1) == {}
    assert list(store.pinned()) == []
    kept = (table.context(13).home / "predictions" / "13" / "1.json").read_bytes()
    with pytest.raises(ContentNotFound):
        store.get(cid_of(kept), len(kept))
    table.act(0, GOOD)
    published = committee.published_predictions(1)
    assert published == {table.chain.verifier(0): cid_of(kept)}
    found = read_published(store.get(cid_of(kept), len(kept)))
    assert found.ballot_id == 1
    assert [unpack_rows(entry.train, (3,)).tolist() for entry in found.entries] == [[0, 1, 2]] * len(GOOD)


def test_reveal__predictions_that_are_gone__the_vote_counts_all_the_same(table: Table) -> None:
    for index in range(4):
        table.act(index, GOOD)
    (table.context(13).home / "predictions" / "13" / "1.json").unlink()
    table.until(table.is_in(BallotPhase.CLOSED), *[GOOD] * 4)
    assert table.outcome == unpack_verdicts(GOOD)
    assert table.chain.verifier(0) not in table.chain.contracts.verifier_committee.published_predictions(1)


def test_decide__disk_that_takes_no_predictions__the_vote_counts_all_the_same(table: Table) -> None:
    (table.context(13).home / "predictions").write_text("a file where the folder should be")
    table.until(table.is_in(BallotPhase.CLOSED), *[GOOD] * 4)
    assert table.outcome == unpack_verdicts(GOOD)
    assert table.chain.contracts.verifier_committee.published_predictions(1) == {}


def test_decide__two_accounts_with_one_home__keep_predictions_of_their_own(table: Table) -> None:
    for index, words in enumerate((GOOD, OTHER)):
        table.act(index, words)
    kept = sorted(path.parent.name for path in (table.context(13).home / "predictions").glob("*/1.json"))
    assert kept == ["13", "14"]
