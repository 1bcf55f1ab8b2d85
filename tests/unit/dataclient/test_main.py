"""The data client's command line: one clear line for every bad input, and task files that a stranger can submit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataclient import __main__ as command_line
from dataclient.drafting.costs import PPM, duration, encryption_cost, payment_for, size
from dataclient.sources.load import load_source
from dataclient.task_file import read_task_file
from pole.chain.deployment import Deployment
from pole.chain.profiles import PUBLIC
from pole.chain.structs import MarketParameters
from pole.node.exit import exit_code
from tests.unit.client_round import write_small_task
from tests.unit.dataclient.test_predict import bundle as small_bundle

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
    "command",
    [
        "init",
        "submit",
        "serve",
        "status",
        "cancel",
        "raise-reward",
        "withdraw",
        "fetch-model",
        "check-proof",
        "leaderboard",
        "predict",
    ],
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
        (["init", "rows.csv", "--label", "edible", "--number", "size", "--drop", "taste"], "no dropped column 'taste'"),
        (["init", "rows.csv", "--label", "edible", "--image-size", "2", "2"], "--image-size does not apply to"),
        (["init", "rows.csv", "--label", "edible", "--delimiter", "::"], "delimiter: String should have at most 1"),
        (["init", "rows.csv", "--label", "edible", "--name", "a b"], "name: String should match pattern"),
        (["init", "rows.csv", "--label", "edible", "--reward", "much"], "reward: 'much' is not an amount of ether"),
        (["init", "rows.csv", "--label", "edible", "--vectors", "2"], "would give the data away outright"),
        (["init", "rows.csv", "--label", "edible", "--drop", "size"], "say --no-encryption"),
        (["init", "rows.csv", "--label", "edible", "--mapping", "convolutional"], "needs images"),
        (["init", "rows.csv", "--label", "edible", "--out", "none/task.toml"], "cannot write none/task.toml"),
        (["init", "sklearn:cats"], "known are iris, digits, wine, breast_cancer"),
        (["init", "rows.csv", "--label", "edible", "--deployment", "none.json"], "run `ape run deploy` first"),
        (["predict", "nowhere", "rows.csv"], "give a folder that fetch-model wrote"),
        (["check-proof", "nowhere", "0" * 64], "give a folder that fetch-model wrote"),
        (["check-proof", "nowhere", "0"], "give 64 hex digits"),
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


def test_init__report__escapes_names_and_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.csv").read_text().replace("size,", "<b>size,").replace("yes", "<script>")
    (tmp_path / "rows.csv").write_text(rows)
    assert run("init", "rows.csv", "--label", "edible", "--report", "seen.html")[0] == 0
    html = (tmp_path / "seen.html").read_text()
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;size" in html
    assert "<script>" not in html
    assert html.count("<svg") == 4
    code, _, err = run("init", "rows.csv", "--label", "edible", "--force", "--report", "seen.html", "--out", "b.toml")
    assert (code, "error" in err) == (0, False)
    code, _, err = run("init", "rows.csv", "--label", "edible", "--report", "seen.html", "--out", "c.toml")
    assert code == 1
    assert "seen.html exists already" in err


@pytest.mark.parametrize("target", ["quantity", "labels"])
def test_init__targets_of_a_table__draws_them_and_the_task_file_reads_the_same_rows(
    run: Run, tmp_path: Path, target: str
) -> None:
    rng = np.random.default_rng(0)
    lines = ["a;town;b;y"]
    for _ in range(60):
        a, b = rng.uniform(0, 10, 2)
        names = "|".join(["x"] * bool(a > 5) + ["y"] * bool(b > 3))
        said = f"{3 * a - b:.3f}" if target == "quantity" else names
        lines.append(f"{a:.3f};{rng.choice(['Rome', 'Oslo', 'Bern'])};{b:.3f};{said}".replace(".", ","))
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    unit = ["--unit", "EUR"] if target == "quantity" else []
    out = ["--out", "task.toml", "--report", "report.html", "--no-encryption"]
    code, _, err = run("init", "rows.csv", "--label", "y", "--target", target, *unit, *out)
    assert code == 0, err
    task = read_task_file(tmp_path / "task.toml").task
    assert (task.data.target, task.metric) == (target, {"quantity": "r2", "labels": "multilabel_accuracy"}[target])
    assert [each.unit for each in task.quantities] == (["EUR"] if unit else [])
    assert task.preprocessing is not None
    assert task.preprocessing.labels.decimal == ("," if unit else ".")
    again, found = load_source(task.data, task.preprocessing), load_source(task.data)
    assert (again.labels == found.labels).all()
    assert (again.x == found.x).all()
    html = (tmp_path / "report.html").read_text()
    assert ("Quantities (training rows)" if unit else "Labels (training rows)") in html


def test_init__odd_names__the_task_file_still_reads_back(run: Run, tmp_path: Path) -> None:
    """Names of columns and files stand in comments and in the document: none may end a line or a string."""
    header = '"size\n= 1","we""ight",edible'
    rows = [f"{i % 7}.5,{i % 2 * 3 + i % 3},{'yes' if i % 2 else 'Yes'}" for i in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join([header, *rows]) + "\n")
    code, out, err = run("init", "rows.csv", "--label", "edible", "--vectors", "1")
    assert (code, "error" in err) == (0, False)
    assert "classes that differ by case or spaces only: 'Yes', 'yes'" in out
    task = read_task_file(tmp_path / "rows.toml").task
    assert task.data.columns == ["size\n= 1", 'we"ight', "edible"]
    assert task.preprocessing is not None
    assert len(task.data.digest or "") == 64


def test_predict__to_standard_output__messages_stand_elsewhere(run: Run, tmp_path: Path) -> None:
    bought = small_bundle()
    (tmp_path / "model").mkdir()
    for name, content in bought.files().items():
        (tmp_path / "model" / name).write_bytes(content)
    (tmp_path / "new.csv").write_text("amount,noise\n15,0\n0,0\n")
    code, out, err = run("predict", "model", "new.csv", "--out", "-")
    assert code == 0
    assert out.splitlines()[1:] == ["1,high,1.0000,,0.0000,1.0000", "2,low,1.0000,,1.0000,0.0000"]
    assert "wrote 2 predictions to -" in err
    assert run("predict", "model", "new.csv")[0] == 0
    before = (tmp_path / "predictions.csv").read_bytes()
    code, _, err = run("predict", "model", "new.csv")
    assert (code, "predictions.csv exists already" in err) == (1, True)
    code, _, err = run("predict", "model", "new.csv", "--force", "--out", "new.csv")
    assert (code, "is the file with the rows" in err) == (1, True)
    assert (tmp_path / "predictions.csv").read_bytes() == before


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
