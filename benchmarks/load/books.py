"""The result of a run, read from chain and journals afterwards: counts that must be 0, and seconds per phase."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean

from benchmarks.load.arena import Arena
from pole.chain.client import Event
from pole.chain.structs import BallotPhase, Phase
from pole.journal.transactions import TransactionState


@dataclass(frozen=True)
class Faults:
    """What must not happen. A nonce clash: one nonce for two purposes, or a purpose that had to take another nonce."""

    missed_deadlines: int
    lost_votes: int
    nonce_clashes: int
    rounds_without_block: int
    slashed: int
    unaccounted_wei: int
    owed_wei: int

    @property
    def are_none(self) -> bool:
        return not any(vars(self).values())


def faults(arena: Arena, miners: int, homes: Iterable[Path]) -> Faults:
    """Over all rounds of all lanes of a chain on which nothing is open any more."""
    contracts = arena.contracts
    missed = lost = without_block = 0
    chains = [lane.learning_chain for lane in contracts.lanes]
    for played in (chain.round(number) for chain in chains for number in range(1, chain.round_count() + 1)):
        without_block += played.phase is not Phase.FINALISED
        missed += (played.keys is None) + (not played.is_test_set_released)
        missed += max(0, miners - played.submission_count) + played.submission_count - played.revealed_count
        if played.ballot_id:
            ballot = contracts.verifier_committee.ballot(played.ballot_id)
            lost += ballot.member_count - ballot.revealed_count
            missed += ballot.extensions
    slashed = len(arena.chain.logs("VerifierCommittee", "Slashed"))
    clashes = sum(nonce_clashes(home) for home in homes)
    return Faults(missed, lost, clashes, without_block, slashed, arena.unaccounted_wei(), arena.owed_wei())


def nonce_clashes(home: Path) -> int:
    """Nonces that an account signed for two purposes, plus purposes for which a nonce was taken away or refused."""
    clashes = 0
    for key_of, nonces_of in map(_signed, home.glob("journal-*.sqlite")):
        clashes += sum(len(keys) > 1 for keys in key_of.values())
        clashes += sum(len(nonces) > 1 for nonces in nonces_of.values())
    return clashes


def _signed(path: Path) -> tuple[dict[int, set[str]], dict[str, set[int]]]:
    """Keys by nonce, and nonces by key; a transaction that failed on chain has had its nonce, and may be sent anew."""
    keys: dict[int, set[str]] = defaultdict(set)
    nonces: dict[str, set[int]] = defaultdict(set)
    for key, nonce, state in _rows(path):
        keys[nonce].add(key)
        if state != TransactionState.REVERTED:
            nonces[key].add(nonce)
    return keys, nonces


def mined_in_vain(homes: Iterable[Path]) -> int:
    """Transactions that failed on chain: races lost within a block."""
    paths = [path for home in homes for path in home.glob("journal-*.sqlite")]
    return sum(state == TransactionState.REVERTED for path in paths for _, _, state in _rows(path))


def _rows(path: Path) -> list[tuple[str, int, str]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT key, nonce, state FROM transactions WHERE raw IS NOT NULL").fetchall()


def phase_seconds(arena: Arena) -> dict[str, float]:
    """Mean seconds of block time per phase; voting in its two parts, and what passes between two rounds of a lane."""
    chain_client, times = arena.chain, dict[int, int]()
    ballots = chain_client.logs("VerifierCommittee", "BallotPhaseChanged")
    opened = chain_client.logs("VerifierCommittee", "BallotOpened")

    def at(event: Event) -> int:
        if event.block_number not in times:
            times[event.block_number] = int(chain_client.web3.eth.get_block(event.block_number)["timestamp"])
        return times[event.block_number]

    spent: dict[str, list[int]] = defaultdict(list)
    for lane in arena.contracts.lanes:
        marks: list[tuple[int, int, str]] = []
        for event in lane.learning_chain.changes():
            phase = Phase(event.arguments["phase"])
            name = "vote commit" if phase is Phase.VOTING else phase.name.lower()
            marks.append((at(event), event.log_index, name))
        own = {
            event.arguments["ballotId"] for event in opened if event.arguments["chain"] == lane.learning_chain.address
        }
        for event in ballots:
            part = BallotPhase(event.arguments["phase"])
            if event.arguments["ballotId"] in own and not part.is_over:
                marks.append((at(event), event.log_index, f"vote {part.name.lower()}"))
        _add_seconds(spent, sorted(marks))
    return {name: mean(seconds) for name, seconds in spent.items()}


def _add_seconds(spent: dict[str, list[int]], marks: Sequence[tuple[int, int, str]]) -> None:
    for (begun_s, _, name), (ended_s, _, _) in pairwise(marks):
        label = "between rounds" if name in ("finalised", "aborted") else name
        spent[label].append(ended_s - begun_s)
