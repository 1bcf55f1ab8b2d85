"""The largest round keeps within the gas bounds; played on anvil, whose transactions cost what mainnet's do."""

import pytest

from benchmarks.gas import MINER_TOTAL, Measurement, measure, violations
from benchmarks.gas_gradient import MAX_PROPOSALS, measure_gradient


def test_violations__call_and_miner_at_the_bounds__are_named() -> None:
    measurement = Measurement(3, 3, {("anyone", "tally the ballot"): 16_777_217, MINER_TOTAL: 200_000})
    assert violations(measurement) == [
        "3 miners, 3 verifiers: anyone, tally the ballot: 16,777,217 gas exceed 16,777,216",
        "3 miners, 3 verifiers: a miner's commit + reveal: 200,000 gas, not under 200,000",
    ]


@pytest.mark.slow
def test_measure__64_miners_and_21_verifiers__within_the_bounds() -> None:
    measurement = measure(64, 21)
    assert violations(measurement) == []
    # The measurement covers every kind of call, and not only cheap ones.
    assert len(measurement.gas) == 15
    assert measurement.gas["anyone", "tally the ballot"] > 1_000_000


@pytest.mark.slow
def test_measure_gradient__8_proposals_and_21_verifiers__within_the_bound() -> None:
    measurement = measure_gradient(MAX_PROPOSALS, 21)
    assert violations(measurement) == []
    assert len(measurement.gas) == 13
    assert measurement.gas["anyone", "tally the ballot"] > 1_000_000
