"""Before the gradient miner trains, it enrols with a bond once, and not again after a lost bond."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
import torch
from structlog.testing import capture_logs

from miner.gradient.losses import lost_bonds
from miner.gradient.node import GradientMiner, GradientOptions
from miner.limits import MinerLimits
from pole.chain.gradient_structs import Miner
from pole.chain.profiles import LOCAL
from pole.errors import BadInput
from pole.gradient.claim import cheap_bond_wei
from pole.journal.journal import Journal
from pole.node.context import RoleContext
from pole.node.notify.notices import NOBODY
from tests.unit.heard import Heard

ADDRESS = "0x" + "11" * 20
BOND_WEI = LOCAL.gradient.miner_bond_wei
COMMITTEE = SimpleNamespace(seated=lambda: ["0x" + digit * 40 for digit in "123"], parameters=lambda: LOCAL.committee)


class Chain:
    """A client and a contract in one: whether the account is bonded, how many bonds it lost, what it paid."""

    address = ADDRESS

    deployment = SimpleNamespace(block_number=100)

    def __init__(self, lost: int, bond_wei: int = 0, nonce: int = 1, blocks: int = 25_000) -> None:
        self.lost, self.bond_wei, self.paid_wei, self._nonce, self.blocks = lost, bond_wei, 0, nonce, blocks
        self.asked: list[tuple[int, int]] = []
        self.reward_wei: int | None = None
        self.balance = 10**18

    def nonce(self, address: str) -> int:
        assert address == ADDRESS
        return self._nonce

    def block_number(self) -> int:
        return self.blocks

    def logs(self, contract: str, event: str, first: int, last: int, **filters: Any) -> list[str]:
        """Every bond was lost in block 20,000."""
        assert (contract, event, filters) == ("GradientChain", "MinerSlashed", {"miner": ADDRESS})
        self.asked.append((first, last))
        return ["slashed"] * (self.lost if first <= 20_000 <= last else 0)

    def enrol(self, bond_wei: int, *, key: str) -> None:
        assert key.startswith("enrol/")
        self.bond_wei, self.paid_wei = bond_wei, self.paid_wei + bond_wei

    def miner(self, address: str) -> Miner:
        assert address == ADDRESS
        return Miner(self.bond_wei, 1, 0, False)

    def parameters(self) -> Any:
        return LOCAL.gradient

    def active_task(self) -> Any:
        reward_wei = self.reward_wei
        return reward_wei and SimpleNamespace(terms=SimpleNamespace(block_reward_wei=reward_wei))

    def balance_wei(self, address: str) -> int:
        assert address == ADDRESS
        return self.balance


def enrolling(chain: Chain, folder: Path, lost_bonds: int = 0, bond_wei: int | None = None) -> GradientMiner:
    context: Any = SimpleNamespace(
        chain=chain,
        address=ADDRESS,
        contracts=SimpleNamespace(gradient_chain=chain, verifier_committee=COMMITTEE),
        store=None,
        journal=Journal(folder / "journal.sqlite"),
        log=structlog.get_logger(),
        notices=NOBODY,
        home=folder,
    )
    whole: RoleContext = context
    options = GradientOptions(torch.device("cpu"), 1, MinerLimits(0, 1), None, lost_bonds=lost_bonds, bond_wei=bond_wei)
    node = GradientMiner(whole, options)
    return node


def test_enrol__bond_was_lost__waits_for_a_person_and_pays_nothing(tmp_path: Path) -> None:
    chain = Chain(lost=1)
    waiting = enrolling(chain, tmp_path)._enrol()
    assert waiting is not None
    assert "--lost-bonds 1" in waiting.what
    assert chain.paid_wei == 0


def test_enrol__bond_was_lost__warns_once(tmp_path: Path) -> None:
    node = enrolling(Chain(lost=1), tmp_path)
    with capture_logs() as logs:
        node._enrol()
        node._enrol()
    said = "slashed on the gradient chain: 1 bond(s) lost so far: the verifiers found a proposal invalid"
    assert [(line["log_level"], line["event"]) for line in logs] == [("warning", said)]


@pytest.mark.parametrize(("lost", "lost_bonds"), [(0, 0), (2, 2)])
def test_enrol__no_bond__pays_it_once(tmp_path: Path, lost: int, lost_bonds: int) -> None:
    chain = Chain(lost)
    node = enrolling(chain, tmp_path, lost_bonds)
    assert [node._enrol(), node._enrol()] == [None, None]
    assert chain.paid_wei == BOND_WEI


def test_enrol__bonded_by_hand__pays_nothing(tmp_path: Path) -> None:
    chain = Chain(lost=5, bond_wei=BOND_WEI)
    assert enrolling(chain, tmp_path)._enrol() is None
    assert chain.paid_wei == 0


def test_enrol__dear_task__bonds_so_much_that_three_verifiers_need_two_samples_each(tmp_path: Path) -> None:
    chain = Chain(lost=0)
    chain.reward_wei = 10**16
    enrolling(chain, tmp_path)._enrol()
    assert chain.paid_wei == cheap_bond_wei(64, 3, 10**16) > BOND_WEI


def test_enrol__dear_task_and_little_ether__pays_the_least_bond(tmp_path: Path) -> None:
    chain = Chain(lost=0)
    chain.reward_wei, chain.balance = 10**16, 2 * cheap_bond_wei(64, 3, 10**16) - 1
    enrolling(chain, tmp_path)._enrol()
    assert chain.paid_wei == BOND_WEI


def test_enrol__bond_given__pays_that(tmp_path: Path) -> None:
    chain = Chain(lost=0)
    enrolling(chain, tmp_path, bond_wei=BOND_WEI + 1)._enrol()
    assert chain.paid_wei == BOND_WEI + 1


def test_enrol__bond_given_is_under_the_least__says_so_and_pays_nothing(tmp_path: Path) -> None:
    chain = Chain(lost=0)
    with pytest.raises(BadInput, match=r"--bond 0\.0499: the least bond of this chain is 0\.05 ether"):
        enrolling(chain, tmp_path, bond_wei=499 * 10**14)._enrol()
    assert chain.paid_wei == 0


def test_lost_bonds__looked_for_twice__no_final_block_is_read_again(tmp_path: Path) -> None:
    chain = Chain(lost=2)
    node = enrolling(chain, tmp_path)
    assert lost_bonds(node.context) == 2
    assert chain.asked == [(100, 10_099), (10_100, 20_099), (20_100, 24_936), (24_937, 25_000)]
    chain.asked, chain.blocks = [], 25_010
    assert lost_bonds(node.context) == 2
    assert chain.asked == [(24_937, 24_946), (24_947, 25_010)]


def test_lost_bonds__account_that_never_sent_anything__no_block_is_read(tmp_path: Path) -> None:
    chain = Chain(lost=0, nonce=0)
    assert lost_bonds(enrolling(chain, tmp_path).context) == 0
    assert chain.asked == []


# --- what a person is told -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [0, 5])
def test_enrol__bonds_lost__told_once_for_each_number(tmp_path: Path, allowed: int) -> None:
    chain, heard = Chain(lost=2), Heard()
    node = enrolling(chain, tmp_path, allowed)
    object.__setattr__(node.context, "notices", heard)
    for _ in range(2):
        chain.bond_wei = 0
        node._enrol()
    assert list(heard.told) == ["slashed/2"]
    assert heard.urgent == ["slashed/2"]
