"""The attacks on a replaced mapping, each on a relation between the rounds of which the answer is known."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from experiments import networks, transplant, transplant_report
from experiments.cells import Result
from experiments.race import Start, Teacher, steps_to, teacher_of
from experiments.training import Rows
from experiments.transplant import Seen
from pole.errors import BadInput

CPU = torch.device("cpu")
LAYERS = ["hidden0", "hidden1", "last"]
Floats = NDArray[np.float32]


def model_of(inputs: int, seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    return networks.build(networks.mlp(3, (8, 6)), (inputs,), 3)


def normal(*shape: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@torch.inference_mode()
def logits(model: nn.Module, x: Floats) -> Floats:
    answer: Floats = model.eval()(torch.from_numpy(x)).numpy()
    return answer


# --- least squares ----------------------------------------------------------------------------------------------------


def test_from_rows__different_rows__refused() -> None:
    with pytest.raises(BadInput, match="20 old and 30 new rows"):
        transplant.from_rows(normal(20, 2), normal(30, 2))


def test_from_rows__fewer_rows_than_can_choose_a_ridge__refused() -> None:
    with pytest.raises(BadInput, match="9 old and 9 new rows"):
        transplant.from_rows(normal(9, 2), normal(9, 2))


def test_replaced__layer_that_is_not_linear__refused() -> None:
    with pytest.raises(BadInput, match="'relu0' is a ReLU"):
        transplant.fold(model_of(4), "relu0", np.eye(4), np.zeros(4))


def test_fold_channels__layer_that_is_no_convolution__refused() -> None:
    port = np.eye(2), np.zeros(2)
    with pytest.raises(BadInput, match="'0' is a Linear; only a convolution"):
        transplant.fold_channels(nn.Sequential(nn.Linear(2, 2)), "0", port)


def test_from_pixels__channels_mixed_linearly__same_outputs_inside_the_border() -> None:
    rng = np.random.default_rng(5)
    new, mixing, offset = rng.standard_normal((20, 4, 6, 6)).astype(np.float32), rng.standard_normal((4, 3)), 0.7
    old = (np.einsum("nchw,cd->ndhw", new, mixing) + offset).astype(np.float32)
    torch.manual_seed(1)
    stolen = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1))
    moved = transplant.fold_channels(stolen, "0", transplant.from_pixels(old, new))
    with torch.inference_mode():
        wanted, found = stolen(torch.from_numpy(old)), moved(torch.from_numpy(new))
    assert torch.allclose(wanted[..., 1:-1, 1:-1], found[..., 1:-1, 1:-1], atol=1e-3)
    assert not torch.allclose(wanted[..., 0, :], found[..., 0, :], atol=1e-3)


def test_from_rows__more_features_than_rows_and_noise__ridge_beats_the_exact_fit() -> None:
    """60 features in 50 rows: without a ridge the fit is exact on them and worthless elsewhere."""
    new, wanted = normal(1050, 60), normal(60, 4, seed=2)
    old = (new @ wanted + 8 * normal(1050, 4, seed=3)).astype(np.float32)
    matrix, offset = transplant.from_rows(old[:50], new[:50])
    exact = np.linalg.pinv(new[:50]) @ old[:50]
    errors = [float(((old[50:] - guess) ** 2).mean()) for guess in (new[50:] @ matrix + offset, new[50:] @ exact)]
    assert errors[0] < 0.6 * errors[1]


@pytest.mark.parametrize("attack", ["first layer", "layer by layer"])
def test_port__exactly_linear_relation__same_logits(attack: str) -> None:
    old, stolen = normal(300, 5), model_of(5)
    new = (old @ normal(5, 5, seed=2) + normal(5, seed=3)).astype(np.float32)
    if attack == "first layer":
        moved = transplant.first_layer(stolen, "hidden0", old, new)
    else:
        moved = transplant.layer_by_layer(stolen, LAYERS, old, new)
    assert np.abs(logits(moved, new) - logits(stolen, old)).max() < 1e-3


def test_first_layer__same_as_porting_the_features__at_a_ridge_of_nothing() -> None:
    """Least squares commute with a linear layer."""
    old, stolen = normal(400, 5), model_of(5)
    new = (old @ normal(5, 9, seed=2) + 0.1 * normal(400, 9, seed=3)).astype(np.float32)
    features_first = transplant.fold(stolen, "hidden0", *transplant.from_rows(old, new))
    assert np.allclose(
        logits(features_first, new), logits(transplant.first_layer(stolen, "hidden0", old, new), new), atol=0.02
    )


def test_layer_by_layer__relation_that_is_not_linear__closer_than_the_first_layer_alone() -> None:
    old, stolen = normal(2000, 5), model_of(5)
    new = np.abs(old @ normal(5, 20, seed=2) + normal(20, seed=3)).astype(np.float32)
    moved = transplant.first_layer(stolen, "hidden0", old, new), transplant.layer_by_layer(stolen, LAYERS, old, new)
    errors = [float(((logits(each, new) - logits(stolen, old)) ** 2).mean()) for each in moved]
    assert errors[1] < errors[0]


# --- mappings in branches ---------------------------------------------------------------------------------------------


def seen_through(signs: NDArray[np.int64], x: Floats, told: bool) -> Seen:
    """x, or -x where the sign is 1; perhaps with one-hot outputs that tell."""
    flipped = x * (1 - 2 * signs[:, None])
    told_x = np.concatenate([flipped, np.eye(2)[signs]], axis=1) if told else flipped
    return Seen(told_x.astype(np.float32), signs)


def test_teacher_of__rows__answers_and_units() -> None:
    model, x = model_of(4), normal(20, 4)
    teacher = teacher_of(model, "hidden1", x)
    assert np.array_equal(teacher.logits.numpy(), logits(model, x))
    with torch.inference_mode():
        expected = model.get_submodule("last")(torch.relu(teacher.hidden))
    assert torch.allclose(expected, teacher.logits)


def test_same_branch__signs_flipped_in_each_round__exact_where_the_branches_pair() -> None:
    x, stolen = normal(2000, 5), model_of(5)
    old, new = (seen_through((x @ normal(5, seed=seed) > 0).astype(np.int64), x, False) for seed in (7, 8))
    moved = transplant.same_branch(stolen, "hidden0", old, new)
    errors = np.abs(logits(moved, new.x) - logits(stolen, old.x)).max(axis=1)
    assert errors[old.branch == new.branch].max() < 1e-3
    assert np.median(errors[old.branch != new.branch]) > 0.05


def test_shared_units__branch_told__gates_beat_no_gates() -> None:
    """The model only uses half of its units, so that each branch can have a copy of them to itself."""
    x, stolen = normal(4000, 5), model_of(5)
    with torch.no_grad():
        dict(stolen.named_parameters())["hidden1.weight"][:, 4:] = 0
    old = Seen(x, np.zeros(4000, dtype=np.int64))
    new = seen_through((x @ normal(5, seed=8) > 0).astype(np.int64), x, True)
    errors = [
        float(((logits(moved, new.x) - logits(stolen, x)) ** 2).mean())
        for moved in (transplant.shared_units(stolen, LAYERS, old, new, is_gated=gated) for gated in (True, False))
    ]
    assert errors[0] < 1e-4
    assert errors[1] > 100 * errors[0]


def test_with_layer_of__other_width__reads_it_and_keeps_the_rest() -> None:
    model, other = model_of(5), model_of(9, seed=2)
    made, kept = (
        dict(transplant.with_layer_of(model, "hidden0", other).named_parameters()),
        dict(model.named_parameters()),
    )
    assert torch.equal(made["hidden0.weight"], dict(other.named_parameters())["hidden0.weight"])
    assert torch.equal(made["last.weight"], kept["last.weight"])


# --- races ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def rows() -> Rows:
    """Two classes that a line parts."""
    x = normal(1200, 4)
    y = (x[:, 0] > 0).astype(np.int64)
    return Rows(x[:1000], y[:1000], x[1000:], y[1000:])


def test_steps_to__start_that_is_there_already__none() -> None:
    x = normal(200, 4)
    stolen = model_of(4)
    y = logits(stolen, x).argmax(axis=1)
    assert steps_to(Start(stolen), Rows(x, y, x, y), [50.0, 100.0], most=10, seed=1, device=CPU, rates=[1e-2]) == [0, 0]


def test_steps_to__unreachable__said_so_and_start_untouched(rows: Rows) -> None:
    start = model_of(4)
    before = {name: value.clone() for name, value in start.state_dict().items()}
    assert steps_to(Start(start), rows, [0.0, 101.0], most=3, seed=1, device=CPU, rates=[1e-2]) == [0, None]
    assert all(torch.equal(before[name], value) for name, value in start.state_dict().items())


def test_steps_to__two_rates__the_better_one_counts(rows: Rows) -> None:
    def steps(*rates: float) -> int | None:
        return steps_to(Start(model_of(4)), rows, [95.0], most=400, seed=1, device=CPU, rates=rates)[0]

    slow, fast = steps(1e-4), steps(1e-2)
    assert fast is not None
    assert slow is None or slow > fast
    assert steps(1e-4, 1e-2) == fast


def test_steps_to__first_layer_only__cannot_undo_a_dead_last_layer(rows: Rows) -> None:
    dead = model_of(4)
    with torch.no_grad():
        dict(dead.named_parameters())["last.weight"].zero_()
    found = [
        steps_to(Start(dead, trained), rows, [90.0], most=400, seed=1, device=CPU, rates=[1e-2])[0]
        for trained in ("hidden0.", "")
    ]
    assert found[0] is None
    assert found[1] is not None


def test_steps_to__teacher__imitated_whatever_the_labels_say(rows: Rows) -> None:
    """Labels drawn by lot teach nothing; a model that was trained on the true ones does."""
    torch.manual_seed(1)
    knowing = model_of(4, seed=2)
    optimizer, x, y = (
        torch.optim.Adam(knowing.parameters(), 1e-2),
        *(torch.from_numpy(a) for a in (rows.train_x, rows.train_y)),
    )
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(knowing(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    lots = Rows(rows.train_x, np.random.default_rng(1).integers(0, 2, 1000), rows.test_x, rows.test_y)
    teachers: list[Teacher | None] = [None, teacher_of(knowing, "hidden1", rows.train_x)]
    found = [
        steps_to(Start(model_of(4), teacher=teacher), lots, [90.0], most=300, seed=1, device=CPU, rates=[1e-2])[0]
        for teacher in teachers
    ]
    assert found[0] is None
    assert found[1] is not None


# --- what is said about it --------------------------------------------------------------------------------------------


def result_of(honest: float, scratch: float, **attacks: float) -> Result:
    single: Result = {
        "data": "digits",
        "outputs": 128,
        "epoch_s": 1.0,
        "honest": honest,
        "replaced": 10.0,
        "most": 1000,
        "scratch": {"scratch": [scratch]},
        "attacks": {name: [steps] for name, steps in attacks.items()},
    }
    return {**single, "runs": [single]}


@pytest.mark.parametrize(
    ("honest", "scratch", "best", "share", "is_met"),
    [
        (96.0, 400.0, 200.0, 0.5, True),
        (96.0, 400.0, 199.0, 0.4975, False),
        (95.9, 400.0, 400.0, 1.0, False),
        (97.5, 400.0, 1001.0, 2.5, True),
        (97.5, 1001.0, 600.0, 0.6, False),
    ],
)
def test_meets__target_of_half_the_cost_and_a_point__both_needed(
    honest: float, scratch: float, best: float, share: float, is_met: bool
) -> None:
    results = {"xof-linear-128": result_of(97.0, 300.0, a=0.0), "x-128": result_of(honest, scratch, a=best, b=1001.0)}
    assert transplant_report.cost_share(results["x-128"], 0) == pytest.approx(share)
    assert transplant_report.meets("x-128", results, 0) is is_met


def test_tables__too_slow_from_nothing__bounds_and_no_number() -> None:
    results = {"xof-linear-128": result_of(97.0, 300.0, a=30.0), "x-128": result_of(96.5, 1001.0, a=600.0)}
    linear, hardened = transplant_report.tables(results, {}, (0.985,)).splitlines()[-2:]
    assert [cell.strip() for cell in linear.split("|")[1:-1]] == [
        "xof-linear-128",
        "95.55",
        "+0.00",
        "300",
        "30",
        "0.10",
    ]
    assert [cell.strip() for cell in hardened.split("|")[1:-1]] == [
        "x-128",
        "95.05",
        "+0.50",
        "> 1000",
        "600",
        "< 0.60",
    ]


def test_tables__several_pairs_of_hashes__ranges_beside_the_medians() -> None:
    linear, curved = result_of(97.0, 300.0, a=30.0), result_of(96.5, 400.0, a=200.0)
    linear["runs"] = [result_of(97.0, 300.0, a=30.0), result_of(97.2, 300.0, a=30.0)]
    curved["runs"] = [result_of(96.5, 400.0, a=180.0), result_of(96.0, 400.0, a=240.0)]
    text = transplant_report.tables({"xof-linear-128": linear, "x-128": curved}, {}, (0.985,))
    assert "+0.50 (0.50 to 1.20)" in text
    assert "0.50 (0.45-0.60)" in text


@pytest.mark.parametrize(
    ("best", "said"),
    [(240.0, "met by `x-128` (share 0.60, loss +0.50)"), (100.0, "met by none; within a point the best is `x-128`")],
)
def test_notes__target__said_whether_it_is_met(best: float, said: str) -> None:
    results = {"xof-linear-128": result_of(97.0, 300.0, a=0.0), "x-128": result_of(96.5, 400.0, a=best)}
    assert any(said in note for note in transplant_report.notes(results, (0.985,)))
