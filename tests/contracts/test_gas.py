"""The largest round keeps within the gas bounds; played on anvil, whose transactions cost what mainnet's do."""

import pytest

from benchmarks import gas_list
from benchmarks.gas import MINER_TOTAL, OPEN, REVEAL, SPLIT_TALLY, TALLY, Measurement, measure, violations
from benchmarks.gas_gradient import MAX_PROPOSALS, measure_gradient


def test_violations__call_and_miner_at_the_bounds__are_named() -> None:
    used_gas = {("anyone", "finalise"): 6_000_001, REVEAL: 90_001, TALLY: 1_000_000, MINER_TOTAL: 165_001}
    assert violations(Measurement(3, 3, used_gas)) == [
        "3 miners, 3 verifiers: anyone, finalise: 6,000,001 gas exceed 6,000,000",
        "3 miners, 3 verifiers: verifier, reveal vote: 90,001 gas exceed 90,000",
        "3 miners, 3 verifiers: a miner's commit + reveal: 165,001 gas exceed 165,000",
    ]


@pytest.mark.slow
def test_measure__64_miners_and_21_verifiers__within_the_bounds() -> None:
    measurement = measure(64, 21)
    assert violations(measurement) == []
    # The measurement covers every kind of call, and not only cheap ones.
    assert len(measurement.gas) == 18
    assert measurement.gas[SPLIT_TALLY] > 2_000_000
    assert measurement.gas[TALLY] > 500_000
    assert min(measurement.gas[REVEAL], measurement.gas[OPEN]) > 50_000


def test_list_violations__one_over__is_named() -> None:
    used_gas = {("client", "submit among 10"): 200_001, ("anyone", "open a round among 10"): 200_000}
    assert gas_list.violations(used_gas) == ["client, submit among 10: 200,001 gas exceed 200,000"]


@pytest.mark.slow
def test_measure_list__first_of_an_idle_round_and_long_lists__within_the_bounds() -> None:
    used_gas = gas_list.measure((10, 200))
    assert gas_list.violations(used_gas) == []
    assert len(used_gas) == 5
    assert min(used_gas.values()) > 100_000


@pytest.mark.slow
def test_measure_gradient__8_proposals_and_21_verifiers__within_the_bound() -> None:
    measurement = measure_gradient(MAX_PROPOSALS, 21)
    assert violations(measurement) == []
    assert len(measurement.gas) == 15
    assert measurement.gas[TALLY] > 400_000
