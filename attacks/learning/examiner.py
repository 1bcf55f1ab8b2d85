"""Gives files to a verifier: to its judging process, or to the same code in this process where a part is weakened."""

import time
from collections.abc import Mapping

from attacks.learning.commission import Commission
from attacks.learning.ground import Ground
from pole.errors import ChainError
from pole.storage.cid import Cid
from pole.task.weights import save_model
from verifier.judging.session import Session
from verifier.learning.judge import RoundJudge
from verifier.learning.messages import RoundInputs
from verifier.learning.models import judge_all

VALID = "valid"
_HONEST = "an honest model"
_PATIENCE_S = 300.0


def examine(ground: Ground, made: Commission, files: Mapping[str, bytes]) -> dict[str, str]:
    """What the verifier says of each file: `valid`, or why it is not; an honest model beside them has to be valid.

    Raises ChainError if the honest model is not, or if the judging process did not live through all of them.
    """
    whole = {**files, _HONEST: save_model(made.new_model())}
    cids = {entry: made.store.put(content) for entry, content in enumerate(whole.values())}
    said = _weakened(ground, made, cids) if ground.is_weakened else judge(ground, made.inputs(ground.folder), cids)
    by_name = {name: said[entry] for entry, name in enumerate(whole)}
    if by_name.pop(_HONEST) != VALID:
        raise ChainError("an honest model was refused beside hostile ones")
    return by_name


def judge(ground: Ground, inputs: RoundInputs, models: Mapping[int, Cid]) -> dict[int, str]:
    """By the judging process; raises ChainError if it leaves anything open, or is not the same process afterwards."""
    ground.judge.start()
    pid, session = ground.judge.pid, Session()
    judge_all(ground.judge, inputs, dict(models), session, time.monotonic() + _PATIENCE_S)
    if session.problem or len(session.judgements) != len(models):
        raise ChainError(f"the judging process came to no verdict: {session.problem or session.unavailable}")
    if ground.judge.pid != pid:
        raise ChainError("a file ended the judging process")
    return {entry: VALID if o.verdict.is_valid else o.reason for entry, o in session.judgements.items()}


def _weakened(ground: Ground, made: Commission, models: Mapping[int, Cid]) -> dict[int, str]:
    """In this process, where stand-ins reach."""
    judge, said = RoundJudge(made.store, made.inputs(ground.folder)), {}
    for entry, cid in models.items():
        try:
            line = judge.judge(entry, cid)
            said[entry] = VALID if line.is_valid else line.reason
        except Exception as exc:
            said[entry] = f"broke with {type(exc).__name__}"
    return said


def broken(said: Mapping[str, str]) -> list[str]:
    """The files that were not refused in the ordinary way."""
    return [f"{name}: {what}" for name, what in said.items() if what == VALID or what.startswith("broke")]
