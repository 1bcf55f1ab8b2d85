"""The data client's command line: one clear line for every bad input, and task files that a stranger can submit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataclient import __main__ as command_line
from dataclient.drafting.costs import PPM, duration, encryption_cost, payment_for, size
from dataclient.task_file import read_task_file
from pole.chain.deployment import Deployment
from pole.chain.profiles import PUBLIC
from pole.chain.structs import MarketParameters
from pole.node.exit import exit_code
from tests.unit.client_round import write_small_task

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command line in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["dataclient", *arguments])
        code = exit_code(command_line.cli)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return called


def write_rows(path: Path, rows: int = 40) -> Path:
    lines = [f"{i % 7}.5,{i % 2 * 3 + i % 3},{'yes' if i % 2 else 'no'}" for i in range(rows)]
    path.write_text("\n".join(["size,weight,edible", *lines]) + "\n")
    return path


# --- help and bad input ---


@pytest.mark.parametrize(
    "command", ["init", "submit", "serve", "status", "cancel", "withdraw", "fetch-model", "predict"]
)
def test_help__every_command__explains_itself(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Usage:" in out
    assert len(out.splitlines()[2].strip()) > 20


def test_help__says_timed_release_not_privacy(run: Run) -> None:
    _, out, _ = run("--help")
    assert "timed release, not privacy" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["init", "missing.csv"], "no file or folder"),
        (["init", ""], "SOURCE is empty"),
        (["init", "rows.csv"], "Say --label COLUMN, one of size, weight, edible"),
        (["init", "rows.csv", "--label", "taste"], "no label column 'taste'; its columns are size, weight, edible"),
        (["init", "rows.csv", "--label", "size"], "'no' is not a number; encode the column as numbers"),
        (["init", "rows.csv", "--label", "edible", "--name", "a b"], "name: String should match pattern"),
        (["init", "rows.csv", "--label", "edible", "--reward", "much"], "reward: 'much' is not an amount of ether"),
        (["init", "rows.csv", "--label", "edible", "--vectors", "2"], "would give the data away outright"),
        (["init", "rows.csv", "--label", "edible", "--drop", "size"], "say --no-encryption"),
        (["init", "rows.csv", "--label", "edible", "--mapping", "convolutional"], "needs images"),
        (["init", "rows.csv", "--label", "edible", "--out", "none/task.toml"], "cannot write none/task.toml"),
        (["init", "sklearn:cats"], "known are iris, digits, wine, breast_cancer"),
        (["init", "rows.csv", "--label", "edible", "--deployment", "none.json"], "run `ape run deploy` first"),
        (["predict", "nowhere", "rows.csv"], "give a folder that fetch-model wrote"),
        (["status", "--rpc", "ws://somewhere", "--account", "nobody"], "no key file"),
    ],
)
def test_bad_input__is_one_line_of_error(run: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
    write_rows(tmp_path / "rows.csv")
    code, out, err = run(*arguments)
    assert code == 1
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert message in err


@pytest.mark.parametrize("arguments", [["init"], ["submit"], ["predict", "a"], ["init", "x", "--bits", "9"], ["fly"]])
def test_wrong_usage__exits_with_two(run: Run, arguments: list[str]) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert "Usage:" in err


# --- init ---


def test_init__csv__writes_a_task_file_that_reads_back(run: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv")
    (tmp_path / "tasks").mkdir()
    code, out, _ = run("init", "rows.csv", "--label", "edible", "--out", "tasks/mushrooms.toml", "--vectors", "1")
    assert code == 0
    assert "32 training and 8 test rows, 2 features, 2 classes" in out
    assert "cost: 0.211111111111111112 ether: reward 0.1" in out
    assert "timed release, not privacy" in out
    task = read_task_file(tmp_path / "tasks" / "mushrooms.toml").task
    assert task.name == "rows"
    assert task.data.source == str(tmp_path / "rows.csv")


def test_init__existing_file__is_kept_unless_forced(run: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv")
    (tmp_path / "rows.toml").write_text("mine")
    code, _, err = run("init", "rows.csv", "--label", "edible")
    assert code == 1
    assert "exists already" in err
    assert (tmp_path / "rows.toml").read_text() == "mine"
    assert run("init", "rows.csv", "--label", "edible", "--force", "--no-encryption")[0] == 0
    assert read_task_file(tmp_path / "rows.toml").task.encryption.scheme == "none"


def test_init__deployment__counts_with_its_fees(run: Run, tmp_path: Path, deployment: Deployment) -> None:
    write_rows(tmp_path / "rows.csv")
    deployment.save(tmp_path / "deployed.json")
    code, out, _ = run("init", "rows.csv", "--label", "edible", "--deployment", "deployed.json")
    assert code == 0
    assert "bond 0.1 (comes back)" in out


def test_init__compressed_points__in_the_task_file(run: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv")
    assert run("init", "rows.csv", "--label", "edible", "--points", "compressed")[0] == 0
    assert read_task_file(tmp_path / "rows.toml").task.encryption.points == "compressed"


def test_init__images_in_npz__keeps_pixels_in_one_range(run: Run, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (40, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "tiny.npz", x=x, y=np.arange(40) % 2)
    assert run("init", "tiny.npz", "--time-limit", "30")[0] == 0
    task = read_task_file(tmp_path / "tiny.toml").task
    assert (task.discretisation.minimum, task.discretisation.maximum) == ([0.0], [255.0])
    assert task.terms.time_limit_s == 30


# --- estimates ---


@given(reward_wei=st.integers(1, 10**24), fee_ppm=st.integers(0, 999_999))
def test_payment_for__reward_is_reached_by_the_smallest_payment(reward_wei: int, fee_ppm: int) -> None:
    parameters = MarketParameters(7, 1, fee_ppm, 1, 1, 1)
    payment = payment_for(reward_wei, parameters)
    gross_wei = payment.value_wei - 7

    def reward_of(paid_wei: int) -> int:
        """As the market splits it: the fee is rounded up."""
        return paid_wei - -(-paid_wei * fee_ppm // PPM)

    assert payment.reward_wei == reward_of(gross_wei) >= reward_wei
    assert reward_of(gross_wei - 1) < reward_wei


@pytest.mark.parametrize(("points", "size"), [("uncompressed", 64), ("compressed", 33)])
def test_effort_of__encrypted__counts_points_and_labels(tmp_path: Path, points: str, size: int) -> None:
    task = read_task_file(write_small_task(tmp_path, encryption={"points": points})).task
    cost = encryption_cost(task, features=3, training_rows=18, test_rows=6)
    assert cost.stored_bytes == 24 * (4 * size + 8)
    assert 0 < cost.encryption_s < 10


def test_effort_of__plain__takes_no_time(tmp_path: Path) -> None:
    plain = {"scheme": "none", "rank_limit": None, "encrypt_test_set": False}
    cost = encryption_cost(read_task_file(write_small_task(tmp_path, encryption=plain)).task, 3, 18, 6)
    assert (cost.encryption_s, cost.decryption_s, cost.stored_bytes) == (0.0, 0.0, 24 * (3 + 8))


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "under a second"), (90, "90 s"), (600, "10 min"), (9000, "2.5 h")])
def test_duration__has_a_unit_people_use(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(999, "999 bytes"), (1500, "1.5 KB"), (3_014_400_000, "3.0 GB")])
def test_size__has_a_unit_people_use(count: int, text: str) -> None:
    assert size(count) == text


def test_public_profile__takes_a_tenth_for_the_verifiers() -> None:
    payment = payment_for(9 * 10**17, PUBLIC.market)
    assert (payment.reward_wei, payment.verifier_fee_wei) == (9 * 10**17, 10**17)
