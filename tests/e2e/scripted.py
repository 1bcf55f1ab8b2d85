"""Participants that do exactly what a test tells them, by direct calls in the test's own process."""

import secrets
import time
from typing import Any

from web3.types import RPCEndpoint

from pole.chain.abi import to_abi
from pole.chain.client import ChainClient, Receipt
from pole.chain.commitments import SALT_BYTES, ballot_digest, solution_commitment, test_set_commitment, vote_commitment
from pole.chain.contracts import Contracts
from pole.chain.deployment import ContractName
from pole.chain.sender import Sender
from pole.chain.structs import Round, TaskTerms
from pole.journal.journal import Journal
from pole.storage.cid import Cid, cid_of
from tests.e2e.site import Site, development_account


class Participant:
    """One account."""

    def __init__(self, site: Site, index: int) -> None:
        self.site = site
        self.chain = ChainClient.connect(site.rpc_url, site.deployment, poll_s=0.1)
        self.contracts = Contracts.of(self.chain)
        account = development_account(index)
        self.address = str(account.address)
        self.salt = secrets.token_bytes(SALT_BYTES)
        self._journal = Journal(site.folder / f"scripted-{index}.sqlite", is_exclusive=False)
        self.sender = Sender(self.chain, account, self._journal.transactions)

    def close(self) -> None:
        self._journal.close()

    def send(self, contract: ContractName, function: str, *arguments: Any, value_wei: int = 0) -> Receipt:
        """A transaction of its own each time."""
        key = f"{function}/{secrets.token_hex(8)}"
        return self.sender.transact(key, contract, function, *arguments, value_wei=value_wei)

    def withdraw(self) -> None:
        """Turn all credit into ether, if there is any."""
        if self.contracts.reward_reservoir.credit_wei(self.address):
            self.send("RewardReservoir", "withdraw", self.address)

    @property
    def _chain_id(self) -> int:
        return self.site.deployment.chain_id


class ScriptedMiner(Participant):
    """Commits to any bytes with any claim; reveals when told."""

    content = b""

    def commit(self, current: Round, content: bytes, claimed_train_ppm: int) -> None:
        self.content = content
        commitment = solution_commitment(
            self._chain_id,
            self.site.deployment.address("LearningChain"),
            current.round_id,
            self.address,
            current.previous_hash,
            cid_of(content),
            self.salt,
        )
        chain = self.contracts.learning_chain
        value_wei = chain.parameters().miner_bond_wei + chain.judging_fee_wei(current.round_id)
        arguments = (current.round_id, current.previous_hash, commitment, claimed_train_ppm, 0)
        self.send("LearningChain", "commit", *arguments, value_wei=value_wei)

    def reveal(self, current: Round) -> Cid:
        """Publish what was committed to, and open the commitment."""
        cid = self.site.store.put(self.content)
        place = self.contracts.learning_chain.place_of(current.round_id, self.address)
        self.send("LearningChain", "reveal", current.round_id, place, cid, self.salt)
        return cid


class ScriptedVerifier(Participant):
    """Votes as told; `words`: see `pole.chain.verdicts`."""

    def stake(self, amount_wei: int) -> None:
        self.send("VerifierCommittee", "stake", value_wei=amount_wei)

    def commit_vote(self, ballot_id: int, words: list[int]) -> None:
        address = self.site.deployment.address("VerifierCommittee")
        digest = self.digest(ballot_id, words)
        commitment = vote_commitment(self._chain_id, address, ballot_id, self.address, digest, self.salt)
        self.send("VerifierCommittee", "commitVote", ballot_id, self._index(ballot_id), commitment)

    def reveal_vote(self, ballot_id: int, words: list[int]) -> None:
        arguments = (ballot_id, self._index(ballot_id), self.digest(ballot_id, words), self.salt, to_abi(None))
        self.send("VerifierCommittee", "revealVote", *arguments)

    def open_vote(self, ballot_id: int, words: list[int]) -> None:
        self.send("VerifierCommittee", "openVote", ballot_id, self._index(ballot_id), words)

    def _index(self, ballot_id: int) -> int:
        return self.contracts.verifier_committee.member(ballot_id, self.address).index

    def digest(self, ballot_id: int, words: list[int]) -> bytes:
        address = self.site.deployment.address("VerifierCommittee")
        return ballot_digest(self._chain_id, address, ballot_id, words)

    def leave(self) -> None:
        self.send("VerifierCommittee", "requestUnstake")


class ScriptedClient(Participant):
    """Commissions, issues keys and releases test sets that are nothing but CIDs."""

    def submit(self, manifest: Cid, test_set: Cid, reward_wei: int, **terms: int) -> int:
        """Returns the task's id."""
        market = self.site.deployment.address("TaskMarket")
        commitment = test_set_commitment(self._chain_id, market, self.address, test_set, self.salt)
        parameters = self.contracts.task_market.parameters()
        net_ppm = 1_000_000 - parameters.verifier_fee_ppm
        value_wei = parameters.client_bond_wei + reward_wei * 1_000_000 // net_ppm
        given = {"time_limit_s": 60, "required_train_ppm": 900_000, "min_test_ppm": 0, "earliest_close_s": 0}
        complete = TaskTerms(manifest, commitment, **{"solutions_wanted": 1, **given, **terms})
        receipt = self.send("TaskMarket", "submit", complete, 0, value_wei=value_wei)
        [event] = self.chain.events_of(receipt, "TaskMarket", "TaskSubmitted")
        return int(event.arguments["taskId"])

    def publish_keys(self, current: Round, keys: Cid) -> None:
        self.send("LearningChain", "publishKeys", current.round_id, current.previous_hash, keys)

    def release(self, current: Round, test_set: Cid) -> None:
        """Not before the next second, as the contract asks; a node that mines on demand stands still until told."""
        for method, parameters in (("evm_increaseTime", [1]), ("evm_mine", [])):
            self.chain.web3.provider.make_request(RPCEndpoint(method), parameters)
        while self.chain.block_time() <= self.contracts.learning_chain.round(current.round_id).commits_closed_at:
            time.sleep(0.1)  # a node without these calls has blocks of its own
        self.send("LearningChain", "releaseTestSet", current.round_id, test_set, self.salt)
