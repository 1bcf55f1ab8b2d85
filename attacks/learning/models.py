"""Model files that a stranger could send, judged by a real verifier's process."""

import json
import os
import pickle
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from attacks.learning.commission import Commission, commission
from attacks.learning.examiner import VALID, broken, examine, judge
from attacks.learning.ground import Ground
from attacks.record import Attack, Outcome, Weakening
from pole.errors import PoleError
from pole.storage.cid import Cid
from pole.storage.tensorfile import TensorFile, read_tensors
from pole.task.weights import save_model
from verifier.judging.messages import JudgingLimits
from verifier.judging.process import JudgingProcess
from verifier.judging.session import Session
from verifier.learning.judge import RoundJudge
from verifier.learning.models import judge_all

_PATIENCE_S = 300.0


def _outcome(said: Mapping[str, str]) -> Outcome:
    found = broken(said)
    evidence = f"{len(said)} of {len(said)} refused ({', '.join(said)}); an honest model beside them is judged"
    return Outcome(not found, "; ".join(found) if found else evidence, dict(said))


def bomb(ground: Ground) -> Outcome:
    """Safetensors files whose headers promise what would fill the memory, or make no sense."""
    made = commission(ground.folder)
    return _outcome(examine(ground, made, _bombs(made)))


def _bombs(made: Commission) -> dict[str, bytes]:
    honest = save_model(made.new_model())
    huge = {"dtype": "F32", "shape": [1 << 31, 1 << 31], "data_offsets": [0, 1 << 47]}
    one_byte = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}
    return {
        "header of 10 GB": (10 << 30).to_bytes(8, "little") + honest[8:],
        "header 10,000 deep": _file(b'{"a":' * 10_000),
        "2^62 numbers": _file(_header(a=huge)),
        "2^40 numbers in a byte": _file(_header(a={**one_byte, "shape": [1 << 40]}), b"\0"),
        "negative size": _file(_header(a={**one_byte, "shape": [-1]}), b"\0"),
        "overlapping tensors": _file(_header(a=one_byte, b=one_byte), b"\0"),
        "path as a name": _file(_header(**{"../../etc/passwd": one_byte}), b"\0"),
        "16-bit weights": save({name: tensor.half() for name, tensor in made.new_model().state_dict().items()}),
        "another model": save(torch.nn.Linear(3, 17).state_dict()),
        "more than the cap": bytes(made.manifest.max_model_bytes + 1),
        "cut off": honest[:-4],
        "nothing": b"",
    }


def _header(**tensors: Any) -> bytes:
    return json.dumps(tensors).encode()


def _file(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def _trusting_reader(content: bytes, _what: str, _error: type[PoleError]) -> TensorFile:
    """Stands in for `read_tensors`: makes room for whatever a header promises."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    tensors: dict[str, Any] = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = np.zeros(entry["shape"], dtype=np.float32)
        tensors[name].reshape(-1)[:] = np.frombuffer(content[8 + length :][begin:end], np.float32)
    return TensorFile(tensors, {})


def not_finite(ground: Ground) -> Outcome:
    """Weights that are not numbers or infinite. The largest that are numbers are valid, and worth what they score."""
    made = commission(ground.folder)
    files = {}
    for name, value in (("NaN", float("nan")), ("infinity", float("inf"))):
        model = made.new_model()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(value)
        files[name] = bytes(save(model.state_dict()))
    return _outcome(examine(ground, made, files))


class _Trap:
    """Unpickling this creates a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (os.mkdir, (str(self._path),))


def pickled(ground: Ground) -> Outcome:
    """A pickle, which runs the sender's code when it is read, in place of a model."""
    made, trap = commission(ground.folder), ground.folder / "the attacker was here"
    said = examine(ground, made, {"pickle": pickle.dumps(_Trap(trap))})
    is_run = trap.exists()
    evidence = "the sender's code ran" if is_run else f"refused: {said['pickle']}"
    return Outcome(not is_run and not broken(said), evidence, {"is_run": is_run})


def _unpickling_reader(read: Any, content: bytes, what: str, error: type[PoleError]) -> TensorFile:
    """Stands in for `read_tensors`: takes pickles as well, as the attack hopes."""
    if content[:1] == b"\x80":
        pickle.loads(content)  # noqa: S301 - the weakness itself, on bytes made a line above
    found: TensorFile = read(content, what, error)
    return found


def copied(ground: Ground) -> Outcome:
    """A miner that got hold of another's file commits to the same model later, in its own name."""
    made = commission(ground.folder)
    cid = made.store.put(save_model(made.new_model()))
    said = judge(ground, made.inputs(ground.folder), {0: cid, 1: cid})
    is_defended = said[0] == VALID and said[1] != VALID
    return Outcome(is_defended, f"the first is valid; the second: {said[1]}", {"second": said[1]})


def provoke_rounding(ground: Ground) -> Outcome:
    """Two classes whose logits hardly differ: what rounds otherwise predicts otherwise, and is slashed for it."""
    made = commission(ground.folder)
    model = made.store.put(save_model(_teetering(made)))
    words = {_judged_on(ground, made, model, threads) for threads in (1, 2)}
    evidence = f"verifiers with one and two threads find {len(words)} verdict(s), with all fingerprints"
    return Outcome(len(words) == 1, evidence, {"verdicts": len(words)})


def _teetering(made: Commission) -> torch.nn.Module:
    """The second class has the weights of the first, but for less than a thousandth."""
    model = made.new_model()
    last = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        noise = torch.linspace(-1, 1, last.weight.shape[1]) * 2**-11
        last.weight[1] = last.weight[0] * (1 + noise)
        last.bias[1] = last.bias[0]
    return model


def _judged_on(ground: Ground, made: Commission, model: Cid, threads: int) -> int:
    """The word that a verifier with so many threads votes."""
    inputs, session = made.inputs(ground.folder), Session()
    if ground.is_weakened:
        _Float32.has_short_floats = threads > 1
        return RoundJudge(made.store, inputs).judge(0, model).word
    with JudgingProcess(JudgingLimits(threads=threads)) as process:
        judge_all(process, inputs, {0: model}, session, time.monotonic() + _PATIENCE_S)
    return session.judgements[0].word


class _Float32:
    """Stands in for exact evaluation: what torch makes of it, on machines that round after 24 bits and after 8."""

    has_short_floats = False

    def __init__(self, module: torch.nn.Module, _is_raw: bool = False) -> None:
        self._module = module

    def predict(self, rows: NDArray[np.float32], _form: object = None) -> NDArray[np.int64]:
        dtype = torch.bfloat16 if self.has_short_floats else torch.float32
        with torch.no_grad():
            logits = self._module.to(dtype)(torch.from_numpy(rows).to(dtype))
        found: NDArray[np.int64] = logits.argmax(dim=1).numpy()
        return found


ATTACKS: list[Attack[Ground]] = [
    Attack(
        "provoked-rounding",
        "content",
        "make honest verifiers on unlike machines disagree",
        provoke_rounding,
        Weakening("models are evaluated in floating point", patches={"verifier.learning.judge.prepare": _Float32}),
    ),
    Attack(
        "safetensors-bomb",
        "content",
        "send files that promise too much",
        bomb,
        Weakening("headers are believed", patches={"pole.task.model_file.read_tensors": _trusting_reader}),
    ),
    Attack(
        "not-finite",
        "content",
        "send weights that are no numbers",
        not_finite,
        Weakening(
            "weights are not checked",
            patches={"pole.task.model_file.check_finite": lambda *_: None},
        ),
    ),
    Attack(
        "pickle",
        "content",
        "send code instead of weights",
        pickled,
        Weakening(
            "pickles are read", patches={"pole.task.model_file.read_tensors": partial(_unpickling_reader, read_tensors)}
        ),
    ),
    Attack(
        "copied-file",
        "content",
        "commit to the same model as another",
        copied,
        Weakening("equal models are not looked for", patches={"verifier.learning.models._duplicates": lambda *_: []}),
    ),
]
