"""Deployment file and plan: bad files are refused, addresses are predicted, wrong references are noticed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3

from pole.chain.abi import to_abi
from pole.chain.deploy import check_wiring, created_address, creation_gas, deploy, idle_task, plan
from pole.chain.deployment import (
    CONTRACT_NAMES,
    ContractName,
    Deployment,
    contract_names,
    in_lane,
    kind_of,
    of_lane,
)
from pole.chain.profiles import ETHER, LOCAL, PROFILES, PUBLIC, Profile, profile
from pole.chain.sender import MAX_GAS
from pole.chain.structs import MAX_SUBMISSIONS, AnchorSource, CommitteeParameters
from pole.errors import BadInput, ChainError
from pole.storage.cid import cid_of

ANVIL_0 = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
MANIFEST = cid_of(b"idle manifest")


def saved(deployment: Deployment, path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(deployment.model_dump(mode="json") | changes))
    return path


# --- errors ----------------------------------------------------------------------------------------------------------


def test_load__no_file__says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot read deployment file .*none\.json: No such file.*run `ape run deploy`"):
        Deployment.load(tmp_path / "none.json")


@pytest.mark.parametrize("content", ["", "[]", "{}", "\x00", '{"version": 2}'])
def test_load__not_a_deployment__refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(BadInput, match="is not a deployment file"):
        Deployment.load(path)


def test_load__unknown_field_or_bad_hash__named(deployment: Deployment, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="owner: Extra inputs are not permitted"):
        Deployment.load(saved(deployment, tmp_path / "a.json", owner="me"))
    with pytest.raises(BadInput, match="genesis_hash: String should match pattern"):
        Deployment.load(saved(deployment, tmp_path / "b.json", genesis_hash="0x12"))


def test_load__contract_missing_or_address_mistyped__named(deployment: Deployment, tmp_path: Path) -> None:
    contracts = deployment.model_dump(mode="json")["contracts"]
    without = {name: contract for name, contract in contracts.items() if name != "TaskMarket"}
    with pytest.raises(BadInput, match="has no valid address of TaskMarket"):
        Deployment.load(saved(deployment, tmp_path / "a.json", contracts=without))
    lowered = contracts | {"RewardToken": contracts["RewardToken"] | {"address": "0xabc"}}
    with pytest.raises(BadInput, match="has no valid address of RewardToken"):
        Deployment.load(saved(deployment, tmp_path / "b.json", contracts=lowered))


def test_find__no_deployment_for_the_chain__says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"no deployment file {tmp_path}/4711.json for chain 4711"):
        Deployment.find(4711, tmp_path)


def test_profile__unknown__names_the_choices() -> None:
    with pytest.raises(BadInput, match="profile 'fast' is unknown; use one of local, public"):
        profile("fast")


def test_deploy__address_not_as_foreseen__stops(deployment: Deployment) -> None:
    with pytest.raises(ChainError, match=r"RewardReservoir was created at 0x.*, not at 0x"):
        deploy(
            ANVIL_0,
            0,
            LOCAL,
            MANIFEST,
            (1, "0x" + "00" * 32),
            lambda name, _arguments: deployment.contracts["LearningChain"],
            lambda *_: None,
        )


TWO_LANES = replace(LOCAL, lanes=2)
ADDRESSES: dict[ContractName, str] = {
    name: created_address(ANVIL_0, step) for step, name in enumerate(contract_names(2))
}


def _keeper_of(operator: str) -> str:
    """A lane uses the market's accounts."""
    lanes = [ADDRESSES[of_lane("LearningChain", lane)] for lane in (0, 1)]
    return ADDRESSES["TaskMarket"] if operator in lanes else operator


def answers(name: ContractName, function: str, arguments: list[Any]) -> Any:
    """What rightly wired contracts say."""
    lane = int(name.endswith("2"))
    return {
        "LANES": 2,
        "keeperOf": _keeper_of(arguments[0]) if arguments else None,
        "isMinter": arguments != [] and arguments[0] in [ADDRESSES[of_lane("BlockLedger", lane)] for lane in (0, 1)],
        "isChain": arguments != []
        and arguments[0]
        in [*(ADDRESSES[of_lane("LearningChain", lane)] for lane in (0, 1)), ADDRESSES["GradientChain"]],
        "RESERVOIR": ADDRESSES["RewardReservoir"],
        "CHAIN": ADDRESSES[of_lane("LearningChain", lane)],
        "TOKEN": ADDRESSES["RewardToken"],
        "MARKET": ADDRESSES["TaskMarket"],
        "GRADIENT": ADDRESSES["GradientChain"],
        "LEDGER": ADDRESSES[of_lane("BlockLedger", lane)],
        "COMMITTEE": ADDRESSES["VerifierCommittee"],
        "idleTask": to_abi(idle_task(LOCAL, MANIFEST)),
        "parameters": to_abi(
            {
                "TaskMarket": LOCAL.market,
                "VerifierCommittee": LOCAL.committee,
                "LearningChain": LOCAL.chain,
                "BlockLedger": replace(LOCAL.ledger, winner_reward=16 * ETHER),
                "GradientChain": LOCAL.gradient,
            }.get(kind_of(name))
        ),
    }[function]


def test_check_wiring__all_right__passes() -> None:
    check_wiring(ADDRESSES, TWO_LANES, idle_task(LOCAL, MANIFEST), answers)


@pytest.mark.parametrize(
    ("contract", "function", "wrong"),
    [
        ("RewardReservoir", "keeperOf", ADDRESSES["VerifierCommittee"]),
        ("RewardToken", "isMinter", False),
        ("TaskMarket", "LANES", 1),
        ("LearningChain2", "LEDGER", ADDRESSES["BlockLedger"]),
        ("BlockLedger2", "CHAIN", ADDRESSES["LearningChain"]),
        ("BlockLedger2", "parameters", to_abi(LOCAL.ledger)),
        ("VerifierCommittee", "isChain", False),
        ("LearningChain", "COMMITTEE", ANVIL_0),
        ("TaskMarket", "parameters", to_abi(PUBLIC.market)),
        ("VerifierCommittee", "parameters", to_abi(PUBLIC.committee)),
        ("LearningChain", "parameters", to_abi(PUBLIC.chain)),
        ("LearningChain", "idleTask", to_abi(idle_task(PUBLIC, MANIFEST))),
        ("Lens", "GRADIENT", ANVIL_0),
        ("Lens", "TOKEN", ADDRESSES["RewardReservoir"]),
        ("GradientChain", "COMMITTEE", ANVIL_0),
        ("GradientChain", "parameters", to_abi(PUBLIC.gradient)),
    ],
)
def test_check_wiring__one_wrong_answer__names_it(contract: str, function: str, wrong: Any) -> None:
    def view(name: ContractName, asked: str, arguments: list[Any]) -> Any:
        return wrong if (name, asked) == (contract, function) else answers(name, asked, arguments)

    with pytest.raises(ChainError, match=rf"{contract}\.{function} is .* after the deployment"):
        check_wiring(ADDRESSES, TWO_LANES, idle_task(LOCAL, MANIFEST), view)


# --- what works ------------------------------------------------------------------------------------------------------


def test_created_address__known_deployer__matches_known_addresses() -> None:
    """The first two contracts of everybody's first development account."""
    assert created_address(ANVIL_0, 0) == "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    assert created_address(ANVIL_0, 1) == "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"


@pytest.mark.parametrize("nonce", [0, 127, 128, 256, 65_536])
def test_plan__any_nonce__has_every_contract_know_the_later_ones(nonce: int) -> None:
    steps = plan(ANVIL_0, nonce, replace(LOCAL, lanes=1), idle_task(LOCAL, MANIFEST))
    at = {step.name: step.address for step in steps}
    assert [step.name for step in steps] == list(CONTRACT_NAMES)
    assert [step.address for step in steps] == [created_address(ANVIL_0, nonce + i) for i in range(8)]
    alone = [at["TaskMarket"], at["VerifierCommittee"], at["GradientChain"]]
    assert steps[0].arguments == [[*alone, at["LearningChain"]], [*alone, at["TaskMarket"]]]
    assert steps[4].arguments[:4] == [
        at["RewardReservoir"],
        at["TaskMarket"],
        at["VerifierCommittee"],
        at["BlockLedger"],
    ]
    assert steps[1].arguments == [[at["BlockLedger"]]]
    assert steps[6].arguments[:2] == [at["RewardToken"], at["LearningChain"]]
    assert steps[7].arguments == [
        at[name] for name in ("TaskMarket", "VerifierCommittee", "GradientChain", "RewardReservoir", "RewardToken")
    ]
    assert steps[5].arguments[:2] == [at["RewardReservoir"], at["VerifierCommittee"]]


def test_plan__several_lanes__each_has_chain_and_ledger_and_its_share_of_the_issue() -> None:
    steps = plan(ANVIL_0, 3, replace(LOCAL, lanes=4), idle_task(LOCAL, MANIFEST))
    at, of = {step.name: step.address for step in steps}, {step.name: step.arguments for step in steps}
    assert [step.address for step in steps] == [created_address(ANVIL_0, 3 + i) for i in range(14)]
    assert [step.name for step in steps[8:10]] == ["LearningChain2", "BlockLedger2"]
    for lane in range(4):
        chain, ledger = of_lane("LearningChain", lane), of_lane("BlockLedger", lane)
        assert (of[chain][3], of[ledger][1]) == (at[ledger], at[chain])
        assert of["TaskMarket"][1][lane] == at[chain]
        assert {at[chain]} <= {*of["RewardReservoir"][0]} & {*of["VerifierCommittee"][1]}
        assert of["RewardToken"][0][lane] == at[ledger]
        assert of[ledger][2] == to_abi(replace(LOCAL.ledger, winner_reward=8 * ETHER))


def test_in_lane__first_lane__names_stay_as_they_were() -> None:
    assert (in_lane("commit/7", 0), in_lane("commit/7", 1)) == ("commit/7", "commit/7@2")
    assert (of_lane("BlockLedger", 0), of_lane("BlockLedger", 11)) == ("BlockLedger", "BlockLedger12")
    assert kind_of(of_lane("BlockLedger", 11)) == "BlockLedger"


def test_load__second_lane_without_its_ledger__named(deployment: Deployment, tmp_path: Path) -> None:
    contracts = deployment.model_dump(mode="json")["contracts"]
    contracts |= {"LearningChain2": contracts["LearningChain"]}
    with pytest.raises(BadInput, match="has no valid address of BlockLedger2"):
        Deployment.load(saved(deployment, tmp_path / "a.json", contracts=contracts))
    whole = contracts | {"BlockLedger2": contracts["BlockLedger"]}
    assert Deployment.load(saved(deployment, tmp_path / "b.json", contracts=whole)).lanes == 2


def test_save__then_load__is_the_same(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "new" / "31337.json"
    deployment.save(path)
    assert Deployment.load(path) == deployment
    assert Deployment.find(31337, tmp_path / "new") == deployment
    assert [entry.name for entry in path.parent.iterdir()] == ["31337.json"]


def test_identity__other_genesis_or_address__differs(deployment: Deployment) -> None:
    others = [
        deployment.model_copy(update={"genesis_hash": "0x" + "00" * 32}),
        deployment.model_copy(update={"chain_id": 1}),
        deployment.model_copy(
            update={"contracts": deployment.contracts | {"TaskMarket": deployment.contracts["RewardToken"]}}
        ),
    ]
    assert len({deployment.identity, *(other.identity for other in others)}) == 4


def test_deploy__with_web3__is_what_the_chain_holds(deployment: Deployment, web3: Web3) -> None:
    for contract in deployment.contracts.values():
        receipt = web3.eth.get_transaction_receipt(contract.transaction_hash)  # type: ignore[arg-type]
        assert (receipt["contractAddress"], receipt["blockNumber"]) == (contract.address, contract.block_number)
    assert deployment.parameters["chain"]["keys_window_s"] == LOCAL.chain.keys_window_s


@pytest.mark.parametrize("chosen", PROFILES.values(), ids=lambda each: each.name)
def test_profile__stake_outlasts_every_ballot__in_both(chosen: Profile) -> None:
    """A verifier must not get its stake out while a ballot that could slash it may still be running."""
    committee: CommitteeParameters = chosen.committee
    entries_s = committee.vote_entry_s * MAX_SUBMISSIONS * (chosen.lanes + 1)
    one_pass = committee.vote_commit_window_s + entries_s + committee.vote_reveal_window_s
    assert committee.max_extensions >= 1
    assert committee.unbonding_period_s > 0
    if chosen is PUBLIC:
        assert committee.unbonding_period_s > one_pass * (1 + committee.max_extensions)


# --- gas -------------------------------------------------------------------------------------------------------------


def test_creation_gas__more_than_a_transaction_may_have__refused_by_name() -> None:
    with pytest.raises(ChainError, match=f"creating TaskMarket takes {MAX_GAS + 1} gas, .* more than {MAX_GAS}"):
        creation_gas("TaskMarket", MAX_GAS + 1)


@pytest.mark.parametrize(
    ("estimated", "asked"), [(1_000_000, 1_100_000), (MAX_GAS * 10 // 11 + 1, MAX_GAS), (MAX_GAS, MAX_GAS)]
)
def test_creation_gas__any_estimate__a_tenth_more_and_never_more_than_a_transaction_may_have(
    estimated: int, asked: int
) -> None:
    assert creation_gas("TaskMarket", estimated) == asked


@pytest.mark.parametrize("source", list(AnchorSource))
def test_profile__with_anchor__both_chains_have_it(source: AnchorSource) -> None:
    changed = PUBLIC.with_anchor(source)
    assert (changed.ledger.anchor, changed.gradient.anchor, changed.share().anchor) == (source, source, source)
