"""What a round requires of a miner: its terms, its manifest, its features. Source: PoLe, Algorithm 1, lines 1-4"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from miner.limits import MinerLimits, NotWorthIt
from pole.chain.contracts import Contracts
from pole.chain.structs import MAX_SUBMISSIONS, Phase, Round
from pole.errors import InsufficientFunds, ManifestInvalid
from pole.learning.features import Features, load_features
from pole.learning.round_files import fetch_keys, fetch_manifest
from pole.money import wei_to_ether
from pole.storage.cid import Cid
from pole.storage.store import Store
from pole.task.manifest import Manifest
from pole.task.model import model_bytes

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class RoundTerms:
    """What the chain says about a round's task; an idle round pays no ether."""

    manifest: Cid
    reward_wei: int
    time_limit_s: int
    required_train_ppm: int
    solutions_wanted: int
    earliest_close_s: int


@dataclass(frozen=True)
class Assignment:
    """A round that can be worked on."""

    terms: RoundTerms
    manifest: Manifest
    features: Features


def terms_of(contracts: Contracts, the_round: Round) -> RoundTerms:
    """The terms of a round's task, or of the idle task."""
    if the_round.is_idle:
        idle = contracts.learning_chain.idle_task()
        return RoundTerms(
            idle.manifest,
            0,
            idle.time_limit_s,
            idle.required_train_ppm,
            idle.solutions_wanted,
            idle.earliest_close_s,
        )
    task = contracts.task_market.task(the_round.task_id)
    terms = task.terms
    return RoundTerms(
        terms.manifest,
        task.reward_wei,
        terms.time_limit_s,
        terms.required_train_ppm,
        terms.solutions_wanted,
        terms.earliest_close_s,
    )


def commit_wei(contracts: Contracts, round_id: int) -> int:
    """What a commit to the round costs: bond and judging fee."""
    chain = contracts.learning_chain
    return chain.parameters().miner_bond_wei + chain.judging_fee_wei(round_id)


def check_bond(contracts: Contracts, address: str, balance_wei: int, round_id: int) -> None:
    """Raises InsufficientFunds before any work is done that could not be committed to."""
    bond_wei = commit_wei(contracts, round_id)
    if balance_wei <= bond_wei:
        raise InsufficientFunds(
            f"account {address} has {wei_to_ether(balance_wei)} ether, a commit needs bond and judging fee, "
            f"{wei_to_ether(bond_wei)}, and gas; send it "
            f"{wei_to_ether(bond_wei - balance_wei)} ether more, and some for gas"
        )


def check_manifest(store: Store, the_round: Round, terms: RoundTerms, limits: MinerLimits) -> Manifest:
    """The round's manifest, if it is sound and within the limits; raises NotWorthIt, ManifestInvalid or StoreError."""
    if not the_round.is_idle and terms.reward_wei < limits.min_reward_wei:
        raise NotWorthIt(
            f"the reward of {wei_to_ether(terms.reward_wei)} ether is below --min-reward "
            f"{wei_to_ether(limits.min_reward_wei)}"
        )
    manifest = fetch_manifest(store, terms.manifest)
    data_bytes = sum(file.size_bytes for file in manifest.data.training_set)
    if data_bytes > limits.max_data_bytes:
        raise NotWorthIt(f"the training set has {data_bytes} bytes, --max-data-bytes is {limits.max_data_bytes}")
    feature_bytes = manifest.data.training_rows * math.prod(manifest.feature_shape) * FLOAT32_BYTES
    if feature_bytes > limits.max_data_bytes:
        raise NotWorthIt(f"its features take {feature_bytes} bytes, --max-data-bytes is {limits.max_data_bytes}")
    if (size_bytes := model_bytes(manifest)) > manifest.max_model_bytes:
        raise ManifestInvalid(f"the model has {size_bytes} bytes, its own manifest allows {manifest.max_model_bytes}")
    return manifest


def collect(
    store: Store,
    the_round: Round,
    terms: RoundTerms,
    manifest: Manifest,
    cache_dir: Path,
    progress: Callable[[int, int], None] | None,
) -> Assignment:
    """Fetches keys and data, checks the keys against the public key, and opens the inner products.

    Raises KeyRefused before any work is done on data whose keys are wrong; else as `load_features`.
    """
    keys = fetch_keys(store, manifest, the_round.keys)
    features = load_features(store, manifest, terms.manifest, the_round.previous_hash, keys, None, cache_dir, progress)
    return Assignment(terms, manifest, features)


def is_race(the_round: Round, terms: RoundTerms) -> bool:
    """Whether commits close at the first qualified solutions rather than when time is up: the first commit counts.

    In overtime any commit does, and idle rounds rank by train accuracy.
    """
    if the_round.is_idle or the_round.phase is not Phase.TRAINING:
        return True
    return terms.earliest_close_s == 0 and terms.solutions_wanted < MAX_SUBMISSIONS


def commit_reserve_s(terms: RoundTerms, commit_latency_s: float | None) -> float:
    """Seconds before the deadline by which a commit must be on its way: by default a tenth of the time limit, within
    4 s (a local chain) and 40 s (three blocks of Ethereum).
    """
    return min(40.0, max(4.0, terms.time_limit_s / 10)) if commit_latency_s is None else commit_latency_s
