"""All parameters of timing and money that a deployment fixes for ever, as two profiles to choose from."""

from dataclasses import dataclass, replace

from pole.chain.gradient_structs import GradientParameters
from pole.chain.structs import (
    AnchorSource,
    ChainParameters,
    CommitteeParameters,
    LedgerParameters,
    MarketParameters,
    OmmerFormula,
)
from pole.errors import BadInput

ETHER = 10**18
MAX_LANES = 16
"""As `TaskMarket` has it."""
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


@dataclass(frozen=True)
class IdleTerms:
    """The idle task's terms; its manifest is made by `pole.learning.idle`."""

    time_limit_s: int
    required_train_ppm: int
    solutions_wanted: int
    earliest_close_s: int


@dataclass(frozen=True)
class Profile:
    name: str
    market: MarketParameters
    committee: CommitteeParameters
    chain: ChainParameters
    ledger: LedgerParameters
    gradient: GradientParameters
    idle: IdleTerms
    lanes: int

    def with_anchor(self, anchor: AnchorSource) -> "Profile":
        """Both chains take what nobody knows beforehand from the same source."""
        return replace(self, ledger=replace(self.ledger, anchor=anchor), gradient=replace(self.gradient, anchor=anchor))

    def share(self) -> LedgerParameters:
        """Of one lane: all together issue R_w as often as one would."""
        return replace(self.ledger, winner_reward=self.ledger.winner_reward // self.lanes)


LOCAL = Profile(
    "local",
    MarketParameters(
        client_bond_wei=ETHER // 10,
        min_reward_wei=ETHER // 100,
        verifier_fee_ppm=100_000,
        max_time_limit_s=_HOUR_S,
        min_time_limit_s=1,
        round_windows_s=160,
    ),
    CommitteeParameters(
        min_stake_wei=ETHER,
        floor_stake_wei=ETHER // 2,
        min_seated=1,
        seat_wait_s=60,
        displacement_ppm=100_000,
        unbonding_period_s=60,
        vote_commit_window_s=40,
        vote_entry_s=1,
        vote_reveal_window_s=20,
        vote_opening_window_s=20,
        max_extensions=2,
        absence_penalty_ppm=20_000,
        noise_penalty_ppm=100_000,
    ),
    ChainParameters(
        keys_window_s=30,
        overtime_window_s=10,
        release_window_s=20,
        reveal_window_s=20,
        miner_bond_wei=ETHER // 20,
        judging_fee_wei=ETHER // 1_000,
        judging_fee_ppm=25_000,
        occupancy_ppm=200_000,
    ),
    LedgerParameters(winner_reward=32 * ETHER, ommer_formula=OmmerFormula.FRACTION, anchor=AnchorSource.BLOCK_HASH),
    GradientParameters(
        miner_bond_wei=ETHER // 20,
        min_block_reward_wei=ETHER // 1_000,
        verifier_fee_ppm=100_000,
        collect_window_s=1,
        exit_delay_s=30,
        max_block_time_limit_s=_HOUR_S,
        anchor=AnchorSource.BLOCK_HASH,
    ),
    IdleTerms(time_limit_s=30, required_train_ppm=900_000, solutions_wanted=1, earliest_close_s=0),
    lanes=2,
)
"""For one-second blocks on a development chain."""

PUBLIC = Profile(
    "public",
    MarketParameters(
        client_bond_wei=ETHER // 10,
        min_reward_wei=ETHER // 100,
        verifier_fee_ppm=100_000,
        max_time_limit_s=7 * _DAY_S,
        min_time_limit_s=_MINUTE_S,
        round_windows_s=6 * _HOUR_S,
    ),
    CommitteeParameters(
        min_stake_wei=8 * ETHER,
        floor_stake_wei=4 * ETHER,
        min_seated=3,
        seat_wait_s=7 * _DAY_S,
        displacement_ppm=100_000,
        unbonding_period_s=7 * _DAY_S,
        vote_commit_window_s=2 * _HOUR_S,
        vote_entry_s=30,
        vote_reveal_window_s=30 * _MINUTE_S,
        vote_opening_window_s=30 * _MINUTE_S,
        max_extensions=3,
        absence_penalty_ppm=10_000,
        noise_penalty_ppm=50_000,
    ),
    ChainParameters(
        keys_window_s=_HOUR_S,
        overtime_window_s=30 * _MINUTE_S,
        release_window_s=_HOUR_S,
        reveal_window_s=30 * _MINUTE_S,
        miner_bond_wei=ETHER // 10,
        judging_fee_wei=ETHER // 500,
        judging_fee_ppm=25_000,
        occupancy_ppm=200_000,
    ),
    LedgerParameters(winner_reward=32 * ETHER, ommer_formula=OmmerFormula.FRACTION, anchor=AnchorSource.BLOCK_HASH),
    GradientParameters(
        miner_bond_wei=ETHER // 10,
        min_block_reward_wei=ETHER // 100,
        verifier_fee_ppm=100_000,
        collect_window_s=2 * _MINUTE_S,
        exit_delay_s=_DAY_S,
        max_block_time_limit_s=_DAY_S,
        anchor=AnchorSource.BLOCK_HASH,
    ),
    IdleTerms(
        time_limit_s=30 * _MINUTE_S, required_train_ppm=970_000, solutions_wanted=4, earliest_close_s=15 * _MINUTE_S
    ),
    lanes=4,
)
"""For twelve-second blocks, nodes that restart, and people who sleep; the unbonding time covers every ballot."""

PROFILES = {profile.name: profile for profile in (LOCAL, PUBLIC)}


def profile(name: str) -> Profile:
    """A profile by its name; raises BadInput."""
    if name not in PROFILES:
        raise BadInput(f"profile {name!r} is unknown; use one of {', '.join(PROFILES)}")
    return PROFILES[name]
