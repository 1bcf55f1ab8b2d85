"""Two encrypted tasks from the task file to the prediction, every step by the command lines that people use."""

import json
from collections import defaultdict

import pytest

from pole.chain.commitments import header_hash
from pole.chain.structs import Ommer, TaskState
from pole.node.notify.services import NOTIFY_VARIABLE
from testbed.processes import Actor
from tests.e2e.scripted import Participant
from tests.e2e.secrecy import with_keys
from tests.e2e.settled import fees_wei
from tests.e2e.site import PROFILE
from tests.e2e.tasks import LABEL, VECTORS, read_classes, write_rows, write_task
from tests.e2e.world import World
from tests.unit.peer import Peer, peer

REWARDS = {"first": "2", "second": "1"}
STAKES = {17: "2", 3: "3", 6: "5"}
MINERS = (2, 4, 5)
REQUIRED_PPM = 750_000
CLIENT_BOND_WEI, MINER_BOND_WEI = PROFILE.market.client_bond_wei, PROFILE.chain.miner_bond_wei
WINNER_REWARD = PROFILE.ledger.winner_reward


class Market:
    """The whole cast; the first task pays more, so it makes the first block."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client = world.actor("client", "dataclient", 1)
        self.miners = [world.actor(f"miner-{i}", "miner", number) for i, number in enumerate(MINERS, start=1)]
        self.verifiers = {
            world.actor(f"verifier-{number}", "verifier", number): ether for number, ether in STAKES.items()
        }

    @property
    def cast(self) -> list[Actor]:
        return [self.client, *self.miners, *self.verifiers]

    def run(self) -> None:
        """Until both tasks are solved. The first is as `init` proposes it, but for accuracy and number of vectors."""
        world, files = self.world, [self.world.folder / f"{name}.toml" for name in REWARDS]
        self.start()
        rows = str(write_rows(world.folder / "rows.csv"))
        command = ["dataclient", "init", rows, "--label", LABEL, "--out", str(files[0]), "--name", "first"]
        command += ["--reward", REWARDS["first"], "--time-limit", "60", "--close-after", str(len(MINERS))]
        world.stage.run([*command, "--vectors", str(VECTORS), "--required-train-ppm", str(REQUIRED_PPM)])
        terms = {"solutions_wanted": len(MINERS), "required_train_ppm": REQUIRED_PPM, "reward_ether": REWARDS["second"]}
        write_task(files[1], write_rows(world.folder / "more-rows.csv", seed=2), scheme="ipfe-secp256k1", **terms)
        seats = {verifier.address for verifier in self.verifiers}
        world.until("all seats", lambda: seats == set(world.contracts.verifier_committee.seated()))
        world.stage.run(["dataclient", "submit", *(str(file) for file in files)], self.client)
        tasks = range(1, 1 + len(REWARDS))
        world.until(
            "both blocks",
            lambda: all(world.contracts.task_market.task(t).state is TaskState.SOLVED for t in tasks),
            150,
        )

    def start(self) -> None:
        for verifier, ether in self.verifiers.items():
            self.world.start(verifier, "run", "--stake", ether)
        for seed, miner in enumerate(self.miners, start=1):
            self.world.start(miner, "run", "--device", "cpu", "--threads", "1", "--seed", str(seed))
        self.world.start(self.client, "serve")

    def leave(self) -> None:
        """Everybody stops and takes all money: one of each role by the command line, the rest by direct calls."""
        world = self.world
        processes = dict(world.stage.processes)
        world.stage.stop()
        assert {name: process.returncode for name, process in processes.items()} == dict.fromkeys(processes, 0)
        first, *rest = self.verifiers
        world.stage.run(["verifier", "unstake"], first)
        others = [self.hand(actor) for actor in rest]
        with world.hurried():
            for verifier in others:
                verifier.send("VerifierCommittee", "requestUnstake")
        world.pass_deadline(
            max(world.contracts.verifier_committee.verifier(actor.address).release_at for actor in self.verifiers)
        )
        with world.hurried():
            for verifier in others:
                verifier.send("VerifierCommittee", "completeUnstake")
            for command in (["verifier", "unstake"], ["verifier", "withdraw"]):
                world.stage.run(command, first)
            world.stage.run(["miner", "withdraw"], self.miners[0])
            world.stage.run(["dataclient", "withdraw"], self.client)
            for participant in (*others, *map(self.hand, self.miners[1:])):
                participant.withdraw()

    def hand(self, actor: Actor) -> Participant:
        """An actor whose process has stopped, to be moved by the test."""
        return self.world.scripted(Participant, self.world.number(actor))


@pytest.fixture
def market(world: World) -> Market:
    return Market(world)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("world", [{"is_hasty": False}], indirect=True, ids=["as people run it"])
def test_market__two_encrypted_tasks__blocks_ommer_payments_predictions_and_nothing_left(market: Market) -> None:
    with peer(lambda talk: talk.answer(b"")) as receiver:
        address = with_keys(receiver.url, "/v3/planted-path").replace("http:", "json:").replace("?", "/?+")
        market.world.stage.variables[NOTIFY_VARIABLE] = address
        market.run()
        market.world.check_processes()
        market.world.held_wei()
        check_blocks(market)
        check_ommer(market)
        check_payments(market)
        check_model(market)
        market.leave()
        assert market.world.held_wei() == 0
        check_notices(market, receiver)


def check_notices(market: Market, receiver: Peer) -> None:
    """Everybody was told once of what became of it; what may wait an hour still waits in the verifiers' journals."""
    heard = defaultdict[str, list[str]](list)
    for talk in receiver.talks:
        message = json.loads(talk.body)
        heard[message["title"].split()[2]] += [line.partition(": ")[2] for line in message["message"].splitlines()]
    ledger = market.world.contracts.block_ledger
    winners = [ledger.header(height).winner for height in range(1, 1 + len(REWARDS))]
    assert set(heard) == {market.client.address, *(miner.address for miner in market.miners)}
    for miner in market.miners:
        won = [winner == miner.address for winner in winners]
        assert ["I won block" in text for text in sorted(heard[miner.address])] == won
    assert sorted(heard[market.client.address]) == [
        f"the model of {name} is ready: pole client fetch-model {name}" for name in REWARDS
    ]


def check_blocks(market: Market) -> None:
    """Each task made a block, won by the best by test accuracy in the outcome, the earliest among equals."""
    contracts = market.world.contracts
    assert contracts.block_ledger.height() == len(REWARDS)
    for height in range(1, 1 + len(REWARDS)):
        header, played = contracts.block_ledger.header(height), contracts.learning_chain.round(height)
        entries, outcome = (
            contracts.learning_chain.entries(height),
            contracts.verifier_committee.outcome(played.ballot_id),
        )
        assert (header.task_id, header.previous_hash) == (height, contracts.block_ledger.header_hash(height - 1))
        assert header_hash(header) == contracts.block_ledger.header_hash(height)
        assert {entry.miner for entry in entries} == {miner.address for miner in market.miners}
        assert all(verdict.is_valid and verdict.train_ppm >= REQUIRED_PPM for verdict in outcome)
        best = max(range(len(entries)), key=lambda i: (outcome[i].test_ppm, -i))
        assert (header.winner, header.model) == (entries[best].miner, entries[best].model)
        assert (header.train_ppm, header.test_ppm) == (outcome[best].train_ppm, outcome[best].test_ppm)


def check_ommer(market: Market) -> None:
    """The best ommer of the first block is referenced by the second, and paid."""
    contracts = market.world.contracts
    winners = [contracts.block_ledger.header(height).winner for height in (1, 2)]
    ommers = contracts.block_ledger.ommers(1)
    assert {ommer.miner for ommer in ommers} | {winners[0]} == {miner.address for miner in market.miners}
    assert [ommer.is_referenced for ommer in ommers] == [True, False]
    assert contracts.block_ledger.header(2).ommer_hash == ommers[0].hash
    minted = expected_tokens(winners, ommers)
    assert {miner.address: contracts.reward_token.balance(miner.address) for miner in market.miners} == {
        miner.address: minted.get(miner.address, 0) for miner in market.miners
    }


def expected_tokens(winners: list[str], ommers: list[Ommer]) -> dict[str, int]:
    """R_w per block, R_r = R_w / depth * ommers but at most R_w, and R_w / 32 for the reference."""
    minted = dict.fromkeys([*winners, ommers[0].miner], 0)
    for winner in winners:
        minted[winner] += WINNER_REWARD
    minted[ommers[0].miner] += min(WINNER_REWARD, WINNER_REWARD * len(ommers))
    minted[winners[1]] += WINNER_REWARD // 32
    return minted


def check_payments(market: Market) -> None:
    """Rewards to the winners, all bonds back, fees by stake to the wei."""
    world, contracts = market.world, market.world.contracts
    expected_wei = {market.client.address: len(REWARDS) * CLIENT_BOND_WEI}
    expected_wei |= {miner.address: len(REWARDS) * MINER_BOND_WEI for miner in market.miners}
    for height in range(1, 1 + len(REWARDS)):
        expected_wei[contracts.block_ledger.header(height).winner] += contracts.task_market.task(height).reward_wei
    paid_wei = world.credited_since(0)
    rounds_ended = [contracts.learning_chain.round(number) for number in range(1, 1 + len(REWARDS))]
    earned_wei = sum(fees_wei(contracts, ended) for ended in rounds_ended)
    shares_wei = {verifier.address: paid_wei.pop(verifier.address) for verifier in market.verifiers}
    assert paid_wei == expected_wei
    assert sum(shares_wei.values()) == earned_wei
    total_stake = sum(int(ether) for ether in STAKES.values())
    for verifier, ether in market.verifiers.items():
        assert abs(shares_wei[verifier.address] - earned_wei * int(ether) // total_stake) < len(REWARDS) * len(STAKES)


def check_model(market: Market) -> None:
    """The client's model classifies rows that nobody has seen, and its report agrees with the block."""
    world, out = market.world, market.world.folder / "bundle"
    report = world.stage.run(["dataclient", "fetch-model", "first", "--out", str(out)], market.client)
    header = world.contracts.block_ledger.header(1)
    assert f"by {header.winner}, block 1" in report
    assert f"test accuracy  {header.test_ppm / 10_000:.2f} %, the same as the verifiers voted, to the row" in report
    new_rows = write_rows(world.folder / "new-rows.csv", seed=3, rows_per_class=5)
    predictions = world.folder / "predictions.csv"
    world.stage.run(["dataclient", "predict", str(out), str(new_rows), "--label", LABEL, "--out", str(predictions)])
    predicted, actual = read_classes(predictions, "class"), read_classes(new_rows, LABEL)
    assert len(predicted) == len(actual)
    right = sum(one == other for one, other in zip(predicted, actual, strict=True))
    assert right >= 0.8 * len(actual)
