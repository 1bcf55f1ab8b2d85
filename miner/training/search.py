"""The default method with a search for the recipe: Optuna proposes, rows held out judge, hopeless trials end early.

For `--trainer miner.training.search:train`, on one device; needs the extra `search`.
"""

from collections.abc import Iterator

from torch import nn

from miner.training.api import Trained, TrainingJob
from miner.training.careful import FEWEST_EPOCHS, CarefulTrainer, Trial
from miner.training.default import train_and_then
from miner.training.recipes import Loss, Recipe, recipes_for
from pole.errors import BadInput
from pole.task.manifest import GraphModel

try:
    import optuna
except ImportError as exc:
    raise BadInput("miner.training.search needs Optuna: pip install 'useful-proof-of-work[search]'") from exc

RATES, DECAYS, DROPOUTS = (0.1, 3.0), (1e-3, 1.0), (0.0, 0.6)
REDUCTION = 3
"""Of three trials that have come as far, one goes on."""


def train(job: TrainingJob) -> Iterator[nn.Module | Trained]:
    """Reaches the target as the default method does, then searches until time is up."""
    yield from train_and_then(job, SearchingTrainer)


class SearchingTrainer(CarefulTrainer):
    """Tries the default's recipes first, then what the search proposes, as long as there is time."""

    trial_share = 0.2

    def __init__(self, job: TrainingJob, peak_rate: float, loss: Loss) -> None:
        super().__init__(job, peak_rate, loss)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=job.seed),
            pruner=optuna.pruners.SuccessiveHalvingPruner(FEWEST_EPOCHS, REDUCTION),
        )
        self._space = self._dimensions()

    def _dimensions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """What can differ: dropout is a graph's own choice, and not every row can be augmented."""
        space: dict[str, optuna.distributions.BaseDistribution] = {
            "rate": optuna.distributions.FloatDistribution(*RATES, log=True),
            "decay": optuna.distributions.FloatDistribution(*DECAYS, log=True),
        }
        spec = self.job.manifest.model
        if isinstance(spec, GraphModel) and any(layer.type == "dropout" for layer in spec.layers):
            space["dropout"] = optuna.distributions.FloatDistribution(*DROPOUTS)
        if self._ways.augment is not None:
            space["is_augmented"] = optuna.distributions.CategoricalDistribution([True, False])
        return space

    def _recipes(self) -> Iterator[Recipe]:
        has_augmentation = self._ways.augment is not None
        for known in recipes_for(self.job.manifest.model, has_augmentation=has_augmentation):
            self.study.enqueue_trial({name: getattr(known, name) for name in self._space})
        while True:
            self._asked = self.study.ask(self._space)
            given = {"dropout": 0.0, "is_augmented": has_augmentation, **self._asked.params}
            yield Recipe(**given)

    def _tried(self, recipe: Recipe) -> Trial | None:
        self._is_pruned = False
        trial = super()._tried(recipe)
        if trial is None:
            self.study.tell(self._asked, state=optuna.trial.TrialState.FAIL)
        elif self._is_pruned:
            self.study.tell(self._asked, state=optuna.trial.TrialState.PRUNED)
        else:
            self.study.tell(self._asked, trial.merit)
        return trial

    def _is_hopeless(self, epoch: int, merit: float) -> bool:
        self._asked.report(merit, epoch)
        self._is_pruned = self._asked.should_prune()
        return self._is_pruned
