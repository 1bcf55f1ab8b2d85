"""A model with its weights on grids: exact logits and predictions of rows, in chunks of bounded memory."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from pole.errors import BadInput, InexactMachine
from pole.exact.grid import COARSE, FINE, RAW, Floats, Grid, settle
from pole.exact.layers import layer_of, output_grid
from pole.exact.plan import Plan
from pole.exact.steps import INPUT
from pole.exact.weights import Tensors, blocks
from pole.task.model_file import read_model_file
from pole.task.scores import Form, predictions_of

ROWS_PER_CHUNK = 256
_VALUES_PER_CHUNK = 1 << 26  # 512 MiB of float64


class ExactModel:
    """Tensors (float32) in the places of a plan, rounded. `is_raw`: rows are integers, as `normalisation: none` has."""

    def __init__(self, plan: Plan, tensors: Tensors, is_raw: bool = False) -> None:
        _check_subnormal()
        self._plan = plan
        self._grids: dict[str, Grid] = {INPUT: RAW if is_raw else FINE}
        activations = COARSE if is_raw else FINE
        self._layers = []
        for step in plan.steps:
            grids = [self._grids[name] for name in step.inputs]
            self._layers.append(layer_of(step, tensors, grids, activations, is_last=step is plan.steps[-1]))
            self._grids[step.name] = output_grid(step, grids, activations)
        self._rows_per_chunk = max(1, min(ROWS_PER_CHUNK, _VALUES_PER_CHUNK // _values_alive(plan)))

    def predict(self, rows: NDArray[np.float32], form: Form = Form.CLASSES) -> NDArray[np.int64]:
        """What a metric of this form looks at, for rows float32 [n, *input shape]; see `predictions_of`."""
        starts = range(0, max(1, len(rows)), ROWS_PER_CHUNK)
        return np.concatenate([predictions_of(self.logits(rows[at : at + ROWS_PER_CHUNK]), form) for at in starts])

    def logits(self, rows: NDArray[np.float32], rows_per_chunk: int = 0) -> Floats:
        """Exact outputs, float64 [n, outputs], whatever the chunks (0: as large as memory allows).

        Raises BadInput for rows of another shape or dtype, or that are not finite.
        """
        if rows.dtype != np.float32 or rows.shape[1:] != self._plan.input_shape:
            raise BadInput(f"rows are {rows.dtype} {rows.shape}; need float32 with rows of {self._plan.input_shape}")
        logits = np.empty((len(rows), self._plan.outputs))
        for some in blocks(len(rows), rows_per_chunk or self._rows_per_chunk):
            logits[some] = self._evaluate(rows[some])
        return logits + 0.0  # one zero

    def _evaluate(self, rows: NDArray[np.float32]) -> Floats:
        if not np.isfinite(rows).all():
            raise BadInput("rows hold NaN or infinity; features must be finite")
        grid = self._grids[INPUT]
        values = {INPUT: settle(rows.astype(np.float64) * 2.0**grid.fraction_bits, grid)}
        for step, layer, finished in zip(self._plan.steps, self._layers, self._plan.finished, strict=True):
            values[step.name] = layer(*(values[name] for name in step.inputs))
            for name in finished:
                del values[name]
        last = self._plan.steps[-1]
        scale = 1.0 if last.kind == "linear" else 2.0 ** -self._grids[last.name].fraction_bits
        return values[last.name] * scale


def read_model(content: bytes, plan: Plan, is_raw: bool = False) -> ExactModel:
    """From a safetensors file; raises ModelInvalid unless it has exactly the plan's tensors, all finite."""
    return ExactModel(plan, read_model_file(content, plan.tensors), is_raw)


def _check_subnormal() -> None:
    """Raises InexactMachine if this thread reads the smallest weights as zero, as some libraries have it do."""
    if np.array([1], np.uint32).view(np.float32).astype(np.float64)[0] != 2.0**-149:
        raise InexactMachine("this process takes subnormal numbers for zero; judge models in one that does not")


def _values_alive(plan: Plan) -> int:
    """Numbers of one row that are alive at once."""
    alive, most = {INPUT: prod(plan.input_shape)}, 0
    for step, finished in zip(plan.steps, plan.finished, strict=True):
        alive[step.name] = prod(step.shape)
        most = max(most, sum(alive.values()))
        for name in finished:
            del alive[name]
    return most
