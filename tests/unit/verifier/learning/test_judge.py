"""The judging process on real files, honest and hostile: every one gets a verdict, and nobody crashes."""

import os
import pickle
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from pole.chain.structs import Verdict, VerdictKind
from pole.chain.verdicts import INVALID, Part, pack_verdict
from pole.document import Document
from pole.errors import InexactMachine
from pole.exact.roots import RowPart, predictions_root
from pole.exact.task import model_of, task_score_ppm
from pole.storage.cid import Cid, cid_of
from pole.task.manifest import Convolution, DenseMapping, GlobalPool, GraphModel, Linear, Reshape
from pole.task.model import new_model
from pole.task.rows import Rows, rows_to_bytes
from pole.task.scores import Form
from pole.task.weights import save_model
from tests.paths import ROOT
from tests.unit.commission import PREVIOUS_HASH, Commission, commission_digits, commission_iris, train_quickly
from verifier.judging.messages import Finding, FindingKind, JudgingLimits
from verifier.judging.process import JudgingProcess
from verifier.judging.session import Session
from verifier.learning.judge import findings
from verifier.learning.messages import ModelsRequest, RoundInputs
from verifier.learning.models import judge_all

Judge = Callable[..., Session]
OTHER_HASH = bytes(range(2, 34))


class Bomb:
    """Unpickling this creates a file: if it ever exists, somebody unpickled a stranger's bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (open, (str(self.path), "w"))


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Commission:
    return commission_iris(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def honest(iris: Commission, cache: Path) -> bytes:
    features = iris.features(cache)
    return save_model(train_quickly(iris.new_model(), features.train_x, features.train_y))


def inputs_of(iris: Commission, cache: Path, **changes: str | None) -> RoundInputs:
    keys = iris.published_keys()
    whole = {
        "store": str(iris.store.root),
        "cache_dir": str(cache),
        "manifest": str(iris.manifest_cid),
        "previous_hash": PREVIOUS_HASH.hex(),
        "keys": str(keys) if keys else None,
        "test_set": str(iris.test_set),
    }
    return RoundInputs.model_validate(whole | changes)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """Asks one process, which goes on from request to request as a verifier's does; other limits need another one."""
    with ExitStack() as resources:
        kept = resources.enter_context(JudgingProcess(JudgingLimits()))

        def ask(inputs: RoundInputs, models: dict[int, Cid], limits: JudgingLimits | None = None) -> Session:
            session = Session()
            process = kept if limits is None else resources.enter_context(JudgingProcess(limits))
            judge_all(process, inputs, models, session, time.monotonic() + 120)
            return session

        yield ask


def hostile_files(iris: Commission, honest: bytes, trap: Path) -> dict[str, bytes]:
    """Name of the reason, as far as it must be said -> file."""
    model = iris.new_model()
    wide = torch.nn.Linear(3, 17)
    header_claim = struct.pack("<Q", 10 * 1024**3) + b"{" * 100
    nan = iris.new_model()
    with torch.no_grad():
        next(nan.parameters())[0, 0] = float("nan")
    return {
        "header of 10737418240 bytes": header_claim,
        "is no safetensors": pickle.dumps(Bomb(trap)),
        "finite": save_without_checks(nan),
        "hidden": save_without_checks(wide),
        "cap is": b"\0" * (iris.manifest.max_model_bytes + 1),
        "": honest[:-4],
        "tensors": save_without_checks(torch.nn.Sequential(model, torch.nn.Linear(1, 1))),
    }


def save_without_checks(model: torch.nn.Module) -> bytes:
    from safetensors.torch import save

    return save(model.state_dict())


def test_findings__machine_that_computes_otherwise__says_retry_and_condemns_nobody(
    iris: Commission, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise InexactMachine("the table of silu is another")

    monkeypatch.setattr("verifier.learning.judge.prepare", broken)
    model = iris.store.put(b"a model")
    said = list(findings(ModelsRequest(inputs=inputs_of(iris, cache), models=[(0, str(model))])))
    assert [finding.kind for finding in said] == [FindingKind.RETRY]
    assert "table of silu" in said[0].reason


@pytest.mark.parametrize("size", [3e38, 1e-44, -0.0])
def test_judge__weights_of_any_size__valid_with_the_score_that_the_reference_finds(
    judge: Judge, size: float, iris: Commission, cache: Path
) -> None:
    model = iris.new_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0).add_(size)
    content = save_without_checks(model)
    verdict = judge(inputs_of(iris, cache), {0: iris.store.put(content)}).judgements[0].verdict
    features = iris.features(cache)
    predictions = model_of(iris.manifest, content).predict(features.train_x)
    assert verdict.is_valid
    assert verdict.train_ppm == task_score_ppm(iris.manifest, predictions, features.train_y)


def test_judge__hostile_files__all_invalid_with_a_reason_and_an_honest_one_beside_them_valid(
    judge: Judge, iris: Commission, cache: Path, honest: bytes, tmp_path: Path
) -> None:
    trap = tmp_path / "unpickled"
    files = hostile_files(iris, honest, trap)
    models = {i: iris.store.put(content) for i, content in enumerate(files.values())}
    models[len(files)] = iris.store.put(honest)
    session = judge(inputs_of(iris, cache), models)
    assert session.problem == ""
    for i in range(len(files)):
        assert session.judgements[i].word == INVALID, list(files)[i]
        assert session.judgements[i].reason, list(files)[i]
    assert "10737418240" in session.judgements[0].reason
    assert "NaN" in session.judgements[2].reason
    assert str(iris.manifest.max_model_bytes) in session.judgements[4].reason
    assert session.judgements[len(files)].verdict.is_valid
    assert not trap.exists()


def test_judge__same_model_as_an_earlier_commit__invalid(
    judge: Judge, iris: Commission, cache: Path, honest: bytes
) -> None:
    cid = iris.store.put(honest)
    session = judge(inputs_of(iris, cache), {0: cid, 1: cid, 2: cid})
    assert session.judgements[0].verdict.is_valid
    assert [session.judgements[i].word for i in (1, 2)] == [INVALID, INVALID]
    assert "earlier" in session.judgements[1].reason


def test_judge__model_of_another_rounds_mapping__valid_with_low_accuracy(judge: Judge, tmp_path: Path) -> None:
    digits = commission_digits(tmp_path / "store")
    models = {}
    for entry, previous_hash in enumerate((PREVIOUS_HASH, sha256(b"another round").digest())):
        features = digits.features(tmp_path / "cache", previous_hash)
        model = train_quickly(digits.new_model(), features.train_x, features.train_y)
        models[entry] = digits.store.put(save_model(model))
    verdicts = {e: o.verdict for e, o in judge(inputs_of(digits, tmp_path / "cache"), models).judgements.items()}
    assert verdicts[0].train_ppm > 950_000
    assert verdicts[1].is_valid
    assert verdicts[1].train_ppm < 600_000


def test_judge__model_that_nobody_has__is_left_open(judge: Judge, iris: Commission, cache: Path, honest: bytes) -> None:
    session = judge(inputs_of(iris, cache), {0: cid_of(b"nowhere"), 1: iris.store.put(honest)})
    assert 0 not in session.judgements
    assert "wait" in session.unavailable[0].reason
    session.give_up([0, 1])
    assert session.judgements[0].verdict == Verdict(VerdictKind.UNAVAILABLE, 0, VerdictKind.UNAVAILABLE, 0)
    assert session.judgements[1].verdict.is_valid


def test_judge__training_set_missing__is_a_problem_and_no_verdict(
    judge: Judge, iris: Commission, tmp_path: Path, honest: bytes
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    session = judge(inputs_of(iris, tmp_path / "cache", store=str(empty)), {0: iris.store.put(honest)})
    assert session.judgements == {}
    assert str(iris.manifest_cid) in session.problem
    session.give_up([0])
    assert session.judgements[0].verdict == Verdict(VerdictKind.WITHHELD, 0, VerdictKind.WITHHELD, 0)


def test_judge__manifest_is_nonsense__all_invalid(judge: Judge, iris: Commission, cache: Path, honest: bytes) -> None:
    nonsense = iris.store.put(b'{"version": 2}')
    session = judge(inputs_of(iris, cache, manifest=str(nonsense)), {3: iris.store.put(honest)})
    assert session.judgements[3].word == INVALID
    assert "ManifestInvalid" in session.judgements[3].reason


def tall_network(width: int) -> GraphModel:
    """Few weights and much memory to run it: as many maps as features."""
    return GraphModel(
        layers=[
            Linear(name="wide", size=width),
            Reshape(name="strip", shape=[1, 1, width]),
            Convolution(name="maps", channels=width, kernel=1),
            GlobalPool(name="pooled", type="global_average_pool"),
            Linear(name="classes", size=3),
        ]
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"mapping": DenseMapping(vectors=65_536, segments=4)}, id="features"),
        pytest.param({"model": tall_network(2_048)}, id="activations"),
    ],
)
def test_judge__task_too_large_for_this_machine__is_a_problem_and_blames_no_model(
    judge: Judge, iris: Commission, cache: Path, honest: bytes, changes: dict[str, object]
) -> None:
    large = iris.manifest.model_copy(update={"max_model_bytes": 64 << 20} | changes)
    inputs = inputs_of(iris, cache, manifest=str(iris.store.put(large.to_bytes())))
    model = new_model(large)
    session = judge(inputs, {0: iris.store.put(save_model(model))}, JudgingLimits(memory_bytes=100 << 20))
    assert session.judgements == {}
    assert session.problem


def test_judge__test_set_of_wrong_shape__counts_as_withheld(
    judge: Judge, iris: Commission, cache: Path, honest: bytes
) -> None:
    wrong = iris.store.put(rows_to_bytes(Rows(np.zeros((30, 5), np.uint8), np.zeros(30, np.int64))))
    session = judge(inputs_of(iris, cache, test_set=str(wrong)), {0: iris.store.put(honest)})
    assert session.judgements[0].verdict.is_valid
    assert session.judgements[0].verdict.train_ppm > 900_000
    assert session.judgements[0].verdict.test == VerdictKind.WITHHELD
    assert "test set" in session.warning


def test_judge__test_set_that_nobody_has__no_judgement_until_it_is_given_up(
    judge: Judge, iris: Commission, cache: Path, honest: bytes
) -> None:
    models = {0: iris.store.put(honest), 1: cid_of(b"nowhere")}
    session = judge(inputs_of(iris, cache, test_set=str(cid_of(b"gone"))), models)
    assert session.is_test_set_missing
    assert session.judgements == {}
    given_up = inputs_of(iris, cache, test_set=None).model_copy(update={"is_test_set_missing": True})
    session = judge(given_up, models)
    session.give_up([0, 1])
    found = [session.judgements[entry].verdict for entry in (0, 1)]
    assert [(each.train, each.test) for each in found] == [
        (VerdictKind.SCORED, VerdictKind.WITHHELD),
        (VerdictKind.UNAVAILABLE, VerdictKind.WITHHELD),
    ]


def test_judge__valid_model__its_word_has_the_roots_of_the_references_predictions(
    judge: Judge, iris: Commission, cache: Path, honest: bytes
) -> None:
    model = iris.store.put(honest)
    word = judge(inputs_of(iris, cache), {0: model}).judgements[0].word
    features, reference = iris.features(cache), model_of(iris.manifest, honest)
    assert features.test_x is not None
    assert features.test_y is not None
    parts = []
    for part, x, y in (
        (RowPart.TRAIN, features.train_x, features.train_y),
        (RowPart.TEST, features.test_x, features.test_y),
    ):
        predictions = reference.predict(x)
        root = predictions_root(PREVIOUS_HASH, model, part, predictions)
        parts.append(Part(VerdictKind.SCORED, task_score_ppm(iris.manifest, predictions, y), root))
    assert word == pack_verdict(*parts)


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "top_2_accuracy"])
def test_judge__metric_of_probabilities__its_root_binds_the_logits(
    judge: Judge, iris: Commission, cache: Path, honest: bytes, metric: str
) -> None:
    manifest = iris.manifest.model_copy(update={"metric": metric})
    task = replace(iris, manifest=manifest, manifest_cid=iris.store.put(manifest.to_bytes()))
    model, features, reference = iris.store.put(honest), task.features(cache), model_of(manifest, honest)
    word = judge(inputs_of(task, cache, test_set=None), {0: model}).judgements[0].word
    logits = reference.predict(features.train_x, Form.LOGITS)
    assert logits.shape == (120, 3)
    root = predictions_root(PREVIOUS_HASH, model, RowPart.TRAIN, logits)
    ppm = task_score_ppm(manifest, logits, features.train_y)
    assert 500_000 < ppm <= 1_000_000
    assert word == pack_verdict(Part(VerdictKind.SCORED, ppm, root), Part(VerdictKind.NONE))


def test_judge__test_set_not_released__no_test_part(judge: Judge, iris: Commission, cache: Path, honest: bytes) -> None:
    session = judge(inputs_of(iris, cache, test_set=None), {0: iris.store.put(honest)})
    verdict = session.judgements[0].verdict
    assert verdict.train_ppm > 900_000
    assert verdict == Verdict(VerdictKind.SCORED, verdict.train_ppm, VerdictKind.NONE, 0)


def test_judge__time_is_up__gives_up_without_a_verdict(iris: Commission, cache: Path, honest: bytes) -> None:
    session = Session()
    with JudgingProcess(JudgingLimits()) as a_judge:
        judge_all(a_judge, inputs_of(iris, cache), {0: iris.store.put(honest)}, session, time.monotonic())
    assert session.judgements == {}


def test_judge__process_hangs__is_a_problem_and_no_verdict(iris: Commission, cache: Path, honest: bytes) -> None:
    session = Session()
    with JudgingProcess(JudgingLimits(wall_s=1)) as a_judge:
        assert a_judge.pid is not None
        os.kill(a_judge.pid, signal.SIGSTOP)
        judge_all(a_judge, inputs_of(iris, cache), {0: iris.store.put(honest)}, session, time.monotonic() + 60)
    assert session.judgements == {}
    assert "no finding within 1 s" in session.problem


class Script(JudgingProcess):
    """A judging process that says and dies as written: per request, the findings before its end."""

    def __init__(self, *answers: list[Finding]) -> None:
        super().__init__(JudgingLimits())
        self.answers, self.asked = list(answers), list[list[int]]()
        self.how_it_ended = "signal 11"

    def ask(self, request: Document, give_up_at_s: float) -> Iterator[Finding]:
        assert isinstance(request, ModelsRequest)
        self.asked.append([entry for entry, _ in request.models])
        return iter(self.answers.pop(0))


ROOT_HEX = "ab" * 32
SCORED = pack_verdict(*(Part(VerdictKind.SCORED, ppm, bytes.fromhex(ROOT_HEX)) for ppm in (9, 8)))
READY, DONE = Finding(kind=FindingKind.READY), Finding(kind=FindingKind.DONE)


def valid(entry: int) -> Finding:
    scores = {"train_ppm": 9, "train_root": ROOT_HEX, "test_ppm": 8, "test_root": ROOT_HEX}
    scored = VerdictKind.SCORED
    return Finding(kind=FindingKind.JUDGED, entry=entry, train=scored, test=scored, **scores)  # type: ignore[arg-type]


def scripted(script: Script, count: int) -> Session:
    session = Session()
    inputs = RoundInputs(store="", cache_dir="", manifest="", previous_hash="", keys=None, test_set=None)
    judge_all(script, inputs, {i: cid_of(bytes([i])) for i in range(count)}, session, time.monotonic() + 60)
    return session


def test_judge_all__process_dies_over_a_model_twice__only_this_one_is_invalid() -> None:
    script = Script([READY, valid(0)], [READY], [READY, valid(2), DONE])
    session = scripted(script, 3)
    assert script.asked == [[0, 1, 2], [1], [2]]
    assert session.judgements[1].word == INVALID
    assert "signal 11" in session.judgements[1].reason
    assert session.judgements[0].word == session.judgements[2].word == SCORED


def test_judge_all__process_dies_over_a_model_once__it_gets_its_verdict() -> None:
    script = Script([READY], [READY, valid(0), DONE], [READY, valid(1), DONE])
    session = scripted(script, 2)
    assert session.judgements[0].word == session.judgements[1].word == SCORED


def test_judge_all__process_dies_before_the_features_stand__no_model_is_blamed() -> None:
    session = scripted(Script([]), 2)
    assert session.judgements == {}
    assert "signal 11" in session.problem


@pytest.mark.parametrize("threads", [1, 2])
def test_set_up_torch__numbers_too_small_for_the_normal_form__are_zero_in_every_thread(threads: int) -> None:
    code = (
        "import torch; from verifier.judging.messages import JudgingLimits;"
        "from verifier.judging.sandbox import set_up_torch;"
        f"set_up_torch(JudgingLimits(threads={threads}));"
        "print(int(torch.count_nonzero(torch.full((1_000_000,), 1e-39) * 0.5)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "0"


def test_allow__endless_work__is_ended_by_the_system() -> None:
    program = "from verifier.judging.sandbox import *; allow(JudgingLimits(cpu_s=0), 0)\nwhile True: pass"
    environment = {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, timeout=600)
    assert ended.returncode == -signal.SIGXCPU


@pytest.mark.parametrize(
    ("limits", "greed", "ending"),
    [
        ("memory_bytes=1 << 26", "bytearray(1 << 30)", b"MemoryError"),
        ("file_bytes=1000", "open('f', 'wb', buffering=0).write(bytes(1 << 20)) > 1000 or 1 / 0", b"ZeroDivisionError"),
    ],
)
def test_confine__greedy_process__gets_no_more(limits: str, greed: str, ending: bytes, tmp_path: Path) -> None:
    program = f"from verifier.judging.sandbox import *; confine(JudgingLimits({limits})); {greed}"
    environment = {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=tmp_path, env=environment)
    assert ended.returncode == 1
    assert ending in ended.stderr


def test_judge__encrypted_task__decrypts_for_itself_and_keys_of_another_round_are_refused(
    judge: Judge, tmp_path: Path
) -> None:
    iris = commission_iris(tmp_path / "store", is_encrypted=True)
    features = iris.features(tmp_path / "cache")
    model = iris.store.put(save_model(train_quickly(iris.new_model(), features.train_x, features.train_y)))
    session = judge(inputs_of(iris, tmp_path / "cache"), {0: model})
    assert session.judgements[0].verdict.train_ppm > 900_000
    assert judge(inputs_of(iris, tmp_path / "own"), {0: model}).opening.rows == 120
    wrong = judge(inputs_of(iris, tmp_path / "fresh", keys=str(iris.published_keys(OTHER_HASH))), {0: model})
    assert wrong.judgements[0].word == INVALID
    assert "KeyRefused" in wrong.judgements[0].reason


def test_judging_process__environment__has_no_password(
    iris: Commission, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLE_PASSWORD", "correct horse")
    monkeypatch.setenv("POLE_RPC", "http://127.0.0.1:8545")
    with JudgingProcess(JudgingLimits()) as a_judge:
        pid = a_judge.pid
        request = ModelsRequest(inputs=inputs_of(iris, cache), models=[])
        findings = [line.kind for line in a_judge.ask(request, time.monotonic() + 60)]
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert findings == [FindingKind.READY, FindingKind.DONE]
    assert b"horse" not in environment
    assert b"POLE" not in environment
    assert b"PATH=" in environment
    assert not Path(f"/proc/{pid}").exists()


def test_judge__asked_again__is_the_same_process_with_the_same_numbers(
    iris: Commission, cache: Path, honest: bytes
) -> None:
    models = {0: iris.store.put(honest)}
    sessions = [Session(), Session()]
    pids = set()
    with JudgingProcess(JudgingLimits()) as a_judge:
        for session in sessions:
            judge_all(a_judge, inputs_of(iris, cache), models, session, time.monotonic() + 60)
            pids.add(a_judge.pid)
    assert sessions[0].judgements == sessions[1].judgements
    assert len(pids) == 1


def test_judge__process_is_killed_from_outside__a_new_one_answers(iris: Commission, cache: Path, honest: bytes) -> None:
    session = Session()
    with JudgingProcess(JudgingLimits()) as a_judge:
        assert a_judge.pid is not None
        os.kill(a_judge.pid, signal.SIGKILL)
        judge_all(a_judge, inputs_of(iris, cache), {}, session, time.monotonic() + 60)
        assert "signal 9" in session.problem
        judge_all(a_judge, inputs_of(iris, cache), {0: iris.store.put(honest)}, session, time.monotonic() + 60)
    assert session.problem == ""
    assert session.judgements[0].verdict.is_valid
