"""`make gas`: what every step of a round costs, and whether the largest round keeps within the bounds.

Each size plays two rounds on its own anvil: one whose verifiers agree within the tolerance (all values differ, in the
order that is worst for the median), and one with as many noisy verifiers as a majority bears and all miners returning.
The more expensive one counts, so that slashing, first-time accounts and the referenced ommer are in the figures.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from rich.console import Console
from rich.table import Table
from web3 import HTTPProvider, Web3

from pole.chain.abi import to_abi
from pole.chain.commitments import solution_commitment, test_set_commitment, vote_commitment
from pole.chain.deployment import ContractName, Deployment
from pole.chain.profiles import LOCAL
from pole.chain.structs import BallotPhase, Phase, TaskTerms, Verdict
from pole.storage.cid import RAW, Cid
from testbed.chain import MNEMONIC, development_chain
from testbed.deployer import deploy_with_web3

MINER_COUNTS = (3, 16, 64)
VERIFIER_COUNTS = (3, 21)
CALL_LIMIT_GAS = 16_777_216
"""EIP-7825: no transaction on mainnet may use more."""
MINER_LIMIT_GAS = 200_000
"""A miner's commit and reveal together must stay under this."""
MINER_TOTAL = ("miner", "commit + reveal")

TOLERANCE_PPM = 10_000
_CLAIM_PPM = 950_000
_SALT = bytes(range(1, 33))
_TEST_SET = Cid(RAW, Web3.keccak(text="test set"))
_FIRST_MINER, _FIRST_VERIFIER = 2, 70
ACCOUNTS = _FIRST_VERIFIER + max(VERIFIER_COUNTS)

Step = tuple[str, str]


@dataclass
class Measurement:
    """Gas by (role, step); of several calls of one step, the dearest."""

    miners: int
    verifiers: int
    gas: dict[Step, int] = field(default_factory=dict)

    def add(self, role: str, step: str, used_gas: int) -> None:
        self.gas[role, step] = max(used_gas, self.gas.get((role, step), 0))

    @property
    def name(self) -> str:
        return f"{self.miners} miners, {self.verifiers} verifiers"


class Bench:
    """Plays rounds from the unlocked accounts of a development chain and notes what each call used."""

    def __init__(self, web3: Web3, deployment: Deployment, measurement: Measurement) -> None:
        self.web3, self.deployment, self.measurement = web3, deployment, measurement
        self.chain_id = web3.eth.chain_id
        accounts = list(web3.eth.accounts)
        self.client, self.anyone = accounts[1], accounts[0]
        self.miners = accounts[_FIRST_MINER : _FIRST_MINER + measurement.miners]
        self.verifiers = accounts[_FIRST_VERIFIER : _FIRST_VERIFIER + measurement.verifiers]

    def contract(self, name: ContractName) -> Any:
        deployed = self.deployment.contracts[name]
        address: Any = deployed.address
        return self.web3.eth.contract(address=address, abi=deployed.abi)

    def call(self, role: str, step: str, sender: str, function: Any, value_wei: int = 0) -> int:
        sent = function.transact({"from": sender, "value": value_wei, "gas": 25_000_000})
        receipt = self.web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.01)
        if receipt["status"] != 1:
            raise RuntimeError(f"{step} of {role} reverted with {self.measurement.name}")
        self.measurement.add(role, step, receipt["gasUsed"])
        return int(receipt["gasUsed"])

    def stake(self) -> None:
        stake = self.contract("VerifierCommittee").functions.stake()
        for verifier in self.verifiers:
            self.call("verifier", "stake", verifier, stake, LOCAL.committee.min_stake_wei)

    def play(self, noisy: int) -> None:
        """One round from submission to block; the last `noisy` verifiers vote outside the tolerance."""
        self._submit()
        chain = self.contract("LearningChain").functions
        self.call("anyone", "open the round", self.anyone, chain.openRound())
        round_id = chain.roundCount().call()
        self.call("client", "publish keys", self.client, chain.publishKeys(round_id, to_abi(_TEST_SET)))
        self._solve(round_id)
        self.call("anyone", "end the reveals, open the ballot", self.anyone, chain.advance(round_id))
        self._vote(chain.round(round_id).call()[12], noisy)
        self.call("anyone", "finalise the block", self.anyone, chain.advance(round_id))
        if chain.round(round_id).call()[3] != Phase.FINALISED:
            raise RuntimeError(f"round {round_id} ended without a block")

    def _submit(self) -> None:
        market = self.contract("TaskMarket")
        commitment = test_set_commitment(self.chain_id, market.address, self.client, _TEST_SET, _SALT)
        terms = TaskTerms(_TEST_SET, commitment, 600, 900_000, 0, TOLERANCE_PPM, len(self.miners))
        payment_wei = LOCAL.market.client_bond_wei + 10**18
        self.call("client", "submit", self.client, market.functions.submit(to_abi(terms)), payment_wei)

    def _solve(self, round_id: int) -> None:
        chain = self.contract("LearningChain")
        previous_hash = chain.functions.round(round_id).call()[2]
        used_gas = dict.fromkeys(self.miners, 0)
        for miner in self.miners:
            address, model = chain.address, _model(round_id, miner)
            hashed = solution_commitment(self.chain_id, address, round_id, miner, previous_hash, model, _SALT)
            commit = chain.functions.commit(round_id, hashed, _CLAIM_PPM)
            used_gas[miner] += self.call("miner", "commit", miner, commit, LOCAL.chain.miner_bond_wei)
        self.call("anyone", "close commits", self.anyone, chain.functions.advance(round_id))
        _pass_time(self.web3)
        release = chain.functions.releaseTestSet(round_id, to_abi(_TEST_SET), _SALT)
        self.call("client", "release the test set", self.client, release)
        for miner in self.miners:
            reveal = chain.functions.reveal(round_id, to_abi(_model(round_id, miner)), _SALT)
            self.measurement.add(*MINER_TOTAL, used_gas[miner] + self.call("miner", "reveal", miner, reveal))

    def _vote(self, ballot_id: int, noisy: int) -> None:
        committee = self.contract("VerifierCommittee")
        votes = dict(zip(self.verifiers, self._votes(noisy), strict=True))
        for verifier, vote in votes.items():
            hashed = vote_commitment(self.chain_id, committee.address, ballot_id, verifier, vote, _SALT)
            self.call("verifier", "commit vote", verifier, committee.functions.commitVote(ballot_id, hashed))
        self.call("anyone", "close vote commits", self.anyone, committee.functions.advance(ballot_id))
        for verifier, vote in votes.items():
            reveal = committee.functions.revealVote(ballot_id, to_abi(vote), _SALT)
            self.call("verifier", "reveal vote", verifier, reveal)
        self.call("anyone", "tally the ballot", self.anyone, committee.functions.advance(ballot_id))
        if committee.functions.ballot(ballot_id).call()[3] != BallotPhase.CLOSED:
            raise RuntimeError(f"ballot {ballot_id} was not closed")

    def _votes(self, noisy: int) -> Iterator[list[Verdict]]:
        """Falling values, which the median's insertion sort likes least."""
        for voter in range(len(self.verifiers)):
            is_noisy = voter >= len(self.verifiers) - noisy
            offset_ppm = -voter - (2 * TOLERANCE_PPM if is_noisy else 0)
            yield [
                Verdict(True, _CLAIM_PPM + offset_ppm, 940_000 - entry + offset_ppm)
                for entry in range(len(self.miners))
            ]


def measure(miners: int, verifiers: int) -> Measurement:
    """Play both rounds of one size."""
    measurement = Measurement(miners, verifiers)
    with _bench(measurement) as bench:
        bench.stake()
        bench.play(noisy=0)
        bench.play(noisy=(verifiers - 1) // 2)
    return measurement


def violations(measurement: Measurement) -> list[str]:
    """What exceeds a bound, in words; empty if nothing does."""
    found = [
        f"{measurement.name}: {role}, {step}: {gas:,} gas exceed {CALL_LIMIT_GAS:,}"
        for (role, step), gas in measurement.gas.items()
        if gas > CALL_LIMIT_GAS
    ]
    if (total := measurement.gas.get(MINER_TOTAL, 0)) >= MINER_LIMIT_GAS:
        found.append(f"{measurement.name}: a miner's commit + reveal: {total:,} gas, not under {MINER_LIMIT_GAS:,}")
    return found


def gas_table(measurements: Sequence[Measurement]) -> Table:
    """One row per role and step, one column per size."""
    table = Table(title="Gas per step (dearest of two rounds)")
    table.add_column("role")
    table.add_column("step")
    for measurement in measurements:
        table.add_column(f"{measurement.miners} miners\n{measurement.verifiers} verifiers", justify="right")
    for role, step in sorted(measurements[0].gas, key=lambda key: key[0]):
        table.add_row(role, step, *(f"{measurement.gas[role, step]:,}" for measurement in measurements))
    return table


@contextmanager
def _bench(measurement: Measurement) -> Iterator[Bench]:
    Account.enable_unaudited_hdwallet_features()
    with development_chain(block_time_s=None, accounts=ACCOUNTS) as node:
        web3 = Web3(HTTPProvider(node.rpc_url))
        deployer = Account.from_mnemonic(MNEMONIC)
        yield Bench(web3, deploy_with_web3(web3, deployer, LOCAL, _TEST_SET), measurement)


def _model(round_id: int, miner: str) -> Cid:
    return Cid(RAW, Web3.keccak(text=f"{round_id} {miner}"))


def _pass_time(web3: Web3) -> None:
    web3.provider.make_request("evm_increaseTime", [1])  # type: ignore[arg-type]
    web3.provider.make_request("evm_mine", [])  # type: ignore[arg-type]


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 140)
    sizes = [(miners, verifiers) for miners in MINER_COUNTS for verifiers in VERIFIER_COUNTS]
    with console.status("Playing rounds ..."):
        measurements = [measure(*size) for size in sizes]
    return report(console, measurements)


def report(console: Console, measurements: Sequence[Measurement]) -> int:
    """Print the table and what exceeds a bound; returns the exit status."""
    console.print(gas_table(measurements))
    found = [line for measurement in measurements for line in violations(measurement)]
    for line in found:
        console.print(f"[red]error:[/red] {line}")
    if not found:
        console.print(
            f"No call above {CALL_LIMIT_GAS:,}; a miner's commit + reveal in a round under {MINER_LIMIT_GAS:,}."
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
