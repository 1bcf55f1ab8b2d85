"""Why somebody was paid or not: the sentence for every way in which a round or a height can end for an account."""

from pathlib import Path

import pytest

from explorer.chain.events import Event
from explorer.fold.gradient import fold_height
from explorer.fold.rounds import fold_round
from explorer.site import Site
from explorer.views.heights import height_reasons, outcome_of_height
from explorer.views.reasons import outcome_of, reasons
from explorer.views.rounds import task_of
from pole.chain.gradient_structs import HeightPhase
from pole.chain.structs import VerdictKind
from pole.chain.verdicts import Part, pack_verdict
from testbed import heights, rounds
from tests.unit.explorer.world import World, indexed

UNAVAILABLE = pack_verdict(Part(VerdictKind.UNAVAILABLE), Part(VerdictKind.NONE))
INVALID = heights.INVALID


def told(world: World, folder: Path, account: str, round_id: int = 1) -> str:
    """What the page of a round says to an account."""
    site = indexed(world.site(folder))
    with site.snapshot() as snapshot:
        view = fold_round(snapshot.read.events("round", str(round_id)))
        said = "; ".join(reasons(view, account, task_of(snapshot, view)))
    site.close()
    return said


def told_of_height(site: Site, account: str, height: int) -> str:
    with site.snapshot() as snapshot:
        return "; ".join(height_reasons(fold_height(snapshot.read.events("gradient_block", str(height))), account))


# --- rounds ----------------------------------------------------------------------------------------------------------


def test_reasons__no_keys_published__client_lost_its_bond_and_verifiers_share_it(world: World, tmp_path: Path) -> None:
    world.aborted()
    client = told(world, tmp_path, world.chain.client)
    assert client.startswith("you did not publish the keys by ")
    assert " UTC and lost 0.1 ETH; the time that it took cost you 0.0257" in client
    assert " ETH of its reward; you were credited 0.97" in client
    verifier = told(world, tmp_path, world.verifiers[0])
    assert verifier.startswith("you were credited 0.0419")
    assert verifier.endswith(" ETH, a share of what others lost")


def test_reasons__nobody_committed__client_is_told_so(world: World, tmp_path: Path) -> None:
    rounds.submit(world.chain)
    current = rounds.open_round(world.chain)
    while not rounds.latest(world.chain).phase.is_over:
        rounds.advance(world.chain, current)
    said = told(world, tmp_path, world.chain.client)
    assert said.startswith("your task has no model: nobody committed a solution; ")


def test_reasons__committed_and_waiting__how_long_and_for_what(world: World, tmp_path: Path) -> None:
    rounds.submit(world.chain)
    current = rounds.open_round(world.chain)
    rounds.commit(world.chain, current, world.miners[0])
    said = told(world, tmp_path, world.miners[0])
    assert said.startswith("you committed 95 %; the round is in phase training, until ")
    assert told(world, tmp_path, world.chain.client).startswith("your task 1 is in phase training, until ")


def test_reasons__not_revealed__deadline_and_loss(world: World, tmp_path: Path) -> None:
    world.unrevealed()
    late, winner = (told(world, tmp_path, world.miners[i]) for i in (0, 1))
    assert late.startswith("you did not reveal by ")
    assert late.endswith(" UTC and lost 0.1245 ETH")  # the judging fee too
    assert winner.startswith("your model won with 93 % on the test set; you were credited ")
    assert " and 32 LEARN" in winner


def test_reasons__valid_but_not_best__both_scores(world: World, tmp_path: Path) -> None:
    world.solved()
    said = told(world, tmp_path, world.miners[0])
    assert said == (
        "your model was valid with 90 % on the test set, the winner had 92 % on the test set; you were credited 0.1 ETH"
    )
    assert told(world, tmp_path, world.chain.client) == (
        "your task was solved, 92 % on your test set; you were credited 0.1 ETH"
    )


def test_reasons__measured_below_the_requirement__both_figures_and_the_loss(world: World, tmp_path: Path) -> None:
    current = world.voting(2)
    words = [rounds.scored(712_000, 900_000), rounds.good(910_000)]
    rounds.vote_and_finish(world.chain, current, dict.fromkeys(world.verifiers, words))
    said = told(world, tmp_path, world.miners[0])
    assert said.startswith("you committed 95 %, the verifiers measured 71.2 %, the requirement was 90 %: not valid")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (INVALID, "the verifiers found your model invalid and lost 0.1 ETH"),
        (UNAVAILABLE, "more than half of the verifiers could not get your model and lost 0.1 ETH"),
    ],
)
def test_reasons__bad_model__what_was_found_and_the_loss(world: World, tmp_path: Path, word: int, said: str) -> None:
    current = world.voting(2)
    words = [word, rounds.good(910_000)]
    rounds.vote_and_finish(world.chain, current, dict.fromkeys(world.verifiers, words))
    assert told(world, tmp_path, world.miners[0]) == said


def test_reasons__vote_that_differs__which_model_and_in_what(world: World, tmp_path: Path) -> None:
    current = world.voting(2)
    words = [rounds.good(900_000), rounds.good(910_000)]
    votes = dict.fromkeys(world.verifiers, words) | {world.verifiers[2]: [words[0], rounds.good(950_000)]}
    rounds.vote_and_finish(world.chain, current, votes)
    differs, agrees = (told(world, tmp_path, world.verifiers[i]) for i in (2, 0))
    assert differs.startswith("in ballot 1 your vote on model 2 differed from the outcome: test 95 % (predictions ")
    assert ", decided 91 % (predictions " in differs
    assert differs.endswith(" and lost 0.4 ETH")
    assert agrees.startswith("in ballot 1 your vote was the outcome; you were credited ")


def test_reasons__absent_or_half_a_vote__says_which(world: World, tmp_path: Path) -> None:
    current = world.voting(1)
    ballot_id = rounds.latest(world.chain).ballot_id
    words = [rounds.good(900_000)]
    assert "you have not voted yet; votes are committed until " in told(world, tmp_path / "a", world.verifiers[0])
    rounds.commit_votes(world.chain, ballot_id, dict.fromkeys(world.verifiers[:2], words))
    assert told(world, tmp_path / "b", world.verifiers[0]).endswith(
        "you committed a vote; the ballot is in phase reveal"
    )
    rounds.reveal_votes(world.chain, ballot_id, {world.verifiers[0]: words})
    absent, hidden = (told(world, tmp_path / "c", world.verifiers[i]) for i in (2, 1))
    assert "you did not vote in time and lost " in absent
    assert "you did not reveal your vote in time" in hidden
    assert current.round_id == 1


def test_outcome_of__every_end__in_words(played: World, played_site: Site) -> None:
    with played_site.snapshot() as snapshot:
        said = [outcome_of(fold_round(snapshot.read.events("round", str(number)))) for number in (1, 2, 3)]
    assert said == ["ended with a block"] * 2 + ["ended without a block: the client published no keys in time"]


# --- heights of the gradient chain ---------------------------------------------------------------------------------


def test_height__opening_block_and_running_height__in_words(played_site: Site) -> None:
    with played_site.snapshot() as snapshot:
        views = [fold_height(snapshot.read.events("gradient_block", str(height))) for height in (1, 2, 4)]
    said = [outcome_of_height(view) for view in views]
    assert said[:2] == ["opens a task with its genesis weights", "ended with a block"]
    assert said[2].startswith("in phase search, until ")


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ([HeightPhase.IDLE], "waits for a task"),
        ([HeightPhase.SEARCH, HeightPhase.IDLE], "ended without a block: the task was stopped"),
        ([HeightPhase.SEARCH], "in phase search, until 00:01:00 UTC"),
        ([HeightPhase.SEARCH, HeightPhase.COLLECT], "in phase collect, until 00:01:00 UTC"),
    ],
)
def test_height__without_a_block__as_its_last_phase_says(phases: list[HeightPhase], said: str) -> None:
    events = [
        Event(number, 0, "0x", "GradientChain", "HeightPhaseChanged", {"height": 2, "phase": phase, "deadline": 60})
        for number, phase in enumerate(phases)
    ]
    assert outcome_of_height(fold_height(events)) == said


def test_height__proposals_judged__invalid_won_and_late(played: World, played_site: Site) -> None:
    said = [told_of_height(played_site, miner, 2) for miner in played.miners]
    assert said[0] == "you proposed step 3: the verifiers found that it does not replay and you lost 0.1 ETH"
    assert said[1] == "you proposed step 7: it is the block, with 58 % on the test set; you were credited 0.01 ETH"
    assert said[2] == "you proposed step 11: it was valid, but another one came first"
    verifier = told_of_height(played_site, played.verifiers[0], 2)
    assert verifier.count("your vote was the outcome") == 2


def test_height__on_its_way__says_what_it_waits_for(world: World, tmp_path: Path) -> None:
    chain = world.chain
    heights.enrol(chain, *world.miners)
    heights.submit(chain)
    heights.propose(chain, {world.miners[0]: 5})
    site = indexed(world.site(tmp_path))
    assert told_of_height(site, world.miners[0], 2) == "you proposed step 5: it waits for the ballot"
    rounds.wait_for(chain, chain.contracts.gradient_chain.current().deadline)
    chain.do(chain.anyone, "GradientChain", "advance")
    site.indexer.catch_up()
    assert told_of_height(site, world.miners[0], 2) == "you proposed step 5: the verifiers are voting"
    ballot_id = chain.contracts.gradient_chain.current().ballot_id
    while not chain.contracts.verifier_committee.ballot(ballot_id).phase.is_over:
        rounds.advance_ballot(chain, ballot_id)
    chain.do(chain.anyone, "GradientChain", "advance")
    site.indexer.catch_up()
    assert told_of_height(site, world.miners[0], 2) == (
        "you proposed step 5: too few verifiers voted, and it did not count"
    )
    site.close()


def test_gradient_task__bond_of_a_rejected_proposal__counts_as_its_money(played: World, played_site: Site) -> None:
    """The events of a rejection name no task; they belong to the task of their height all the same."""
    with played_site.snapshot() as snapshot:
        credits_ = snapshot.read.events("gradient_task", "1", ["Credited"])
    returned = [event.args["amountWei"] for event in credits_ if event.args["payee"] == played.chain.client]
    assert returned == [10**17 - 10**15]
