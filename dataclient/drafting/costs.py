"""What a task will cost its client: money on chain, seconds of encryption, bytes in the store."""

import time
from dataclasses import dataclass

import numpy as np

from dataclient.task_file import TaskFile
from pole.chain.structs import MarketParameters
from pole.encryption import CoincurveBackend, MasterKey, expected_s
from pole.money import wei_to_ether
from pole.task.manifest import DenseMapping
from pole.task.rows import row_bytes

PPM = 1_000_000
# Measured on the contracts with the optimiser on, rounded up: submit, publishKeys, releaseTestSet, withdraw.
CLIENT_GAS = 450_000 + 150_000 + 150_000 + 60_000
# One addition of a decryption against one multiplication of an encryption, measured with libsecp256k1.
DECRYPTION_TO_ENCRYPTION = 1 / 40
# The square root of a compressed point against the same.
DECOMPRESSION_TO_ENCRYPTION = 1 / 3
SAMPLE_S = 0.2


@dataclass(frozen=True)
class Payment:
    """What is sent with a submission: `value_wei` is reward, fee and bond; the bond comes back."""

    reward_wei: int
    verifier_fee_wei: int
    bond_wei: int

    @property
    def value_wei(self) -> int:
        return self.reward_wei + self.verifier_fee_wei + self.bond_wei

    def __str__(self) -> str:
        return (
            f"{wei_to_ether(self.value_wei)} ether: reward {wei_to_ether(self.reward_wei)}, verifier fee "
            f"{wei_to_ether(self.verifier_fee_wei)}, bond {wei_to_ether(self.bond_wei)} (comes back)"
        )


@dataclass(frozen=True)
class EncryptionCost:
    """`encryption_s`: on this machine; `decryption_s`: for a miner with one core like this one."""

    encryption_s: float
    decryption_s: float
    stored_bytes: int


def payment_for(reward_wei: int, parameters: MarketParameters) -> Payment:
    """The smallest payment whose reward, after the market's fee (rounded up), is at least `reward_wei`."""
    # gross - ceil(gross * fee) == floor(gross * kept), so rounding the gross up is enough.
    gross_wei = -(-reward_wei * PPM // (PPM - parameters.verifier_fee_ppm))
    fee_wei = -(-gross_wei * parameters.verifier_fee_ppm // PPM)
    return Payment(gross_wei - fee_wei, fee_wei, parameters.client_bond_wei)


def encryption_seconds_per_row(features: int) -> float:
    """Of the reference backend, measured on a few rows of this size."""
    compute, master = CoincurveBackend(), MasterKey.generate(features)
    row = np.ones((1, features), dtype=np.uint8)
    compute.encrypt(master, row)
    rows, start = 0, time.perf_counter()
    while rows == 0 or time.perf_counter() - start < SAMPLE_S:
        compute.encrypt(master, row)
        rows += 1
    return (time.perf_counter() - start) / rows


def encryption_cost(task: TaskFile, features: int, training_rows: int, test_rows: int) -> EncryptionCost:
    """Time and room that the task's encryption takes; nothing for plain tasks but the rows themselves."""
    if task.encryption.scheme == "none":
        return EncryptionCost(0.0, 0.0, (training_rows + test_rows) * row_bytes(features, None))
    encrypted_rows = training_rows + (test_rows if task.encryption.encrypt_test_set else 0)
    plain_bytes = (training_rows + test_rows - encrypted_rows) * row_bytes(features, None)
    per_row_s = encryption_seconds_per_row(features)
    products = task.mapping.vectors if isinstance(task.mapping, DenseMapping) else 1
    opening = products * DECRYPTION_TO_ENCRYPTION
    if task.encryption.points == "compressed":
        opening += DECOMPRESSION_TO_ENCRYPTION
    return EncryptionCost(
        encryption_s=expected_s(per_row_s * encrypted_rows),
        decryption_s=expected_s(per_row_s * training_rows * opening),
        stored_bytes=encrypted_rows * row_bytes(features, task.encryption.points) + plain_bytes,
    )


def duration(seconds: float) -> str:
    if seconds < 1:
        return "under a second"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def size(count_bytes: int) -> str:
    amount, units = float(count_bytes), ["bytes", "KB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.0f} {units[0]}" if units[0] == "bytes" else f"{amount:.1f} {units[0]}"
