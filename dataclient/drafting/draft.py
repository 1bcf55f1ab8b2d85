"""Drafts a task file from the client's rows: proposes every choice and says what it will cost."""

from dataclasses import dataclass, replace

from dataclient.drafting.costs import CLIENT_GAS, EncryptionCost, duration, encryption_cost, payment_for, size
from dataclient.drafting.frontier import RECOVERABLE_SHARE, Choice, Frontier, Say
from dataclient.drafting.linear_scores import LinearScores
from dataclient.drafting.proposal import ProposedTask, Wishes, propose, with_miner_setup
from dataclient.drafting.report import report_html
from dataclient.drafting.template import render
from dataclient.prepare import check_task
from dataclient.sources.boundary import printable
from dataclient.sources.load import SourceOptions, load_source, training_and_test
from dataclient.sources.plain import PlainData, listed
from dataclient.sources.traps import traps
from pole.chain.structs import MarketParameters
from pole.task.manifest import DenseMapping
from pole.task.scores import PPM, Target

FEW_FEATURES = 16
WORTH_IT = 0.15  # of the way from guessing to perfect


@dataclass(frozen=True)
class Draft:
    """`remarks`: what was measured and what it costs, a sentence each."""

    proposal: ProposedTask
    remarks: list[str]
    training: PlainData

    @property
    def report(self) -> str:
        """The same as an HTML page."""
        return report_html(self.proposal.task.name, self.training, self.remarks)

    @property
    def text(self) -> str:
        """The task file."""
        return render(self.proposal.task, self.remarks)


def draft(options: SourceOptions, wishes: Wishes, market: MarketParameters, say: Say = lambda _: None) -> Draft:
    """Reads and splits the rows, and proposes a task. Raises BadInput for rows that cannot be commissioned.

    `say` takes what is about to be measured, and how long that will take.
    """
    data = load_source(options)
    training, test = training_and_test(data, options)
    columns = None if data.columns is None else list(data.columns)
    options = options.model_copy(update={"columns": columns, "digest": data.digest})
    features = training.x[0].size
    proposal = propose(training, options, wishes, say=say)
    cost = encryption_cost(proposal.task, features, training.rows, test.rows)
    if wishes.time_limit_s is None and cost.decryption_s > 1:  # miners decrypt on the training clock
        proposal = with_miner_setup(proposal, training, cost.decryption_s)
    task = proposal.task.model_copy(update={"preprocessing": data.preprocessing})
    proposal = replace(proposal, task=task)
    check_task(task, training, test.rows)
    rows = f"{training.rows} training and {test.rows} test rows, {features} features, {_predicted(training)}"
    told = [printable(note) for note in (*data.notes, *traps(training, test))]
    measured = _measured(proposal, wishes, training)
    return Draft(proposal, [rows, *told, *measured, *_costs(proposal, cost, market), _closing(proposal)], training)


def _predicted(training: PlainData) -> str:
    if training.target is Target.CLASS:
        return f"{len(training.class_names)} classes"
    return f"{training.target}: {listed(training.names)}"


def _measured(proposal: ProposedTask, wishes: Wishes, training: PlainData) -> list[str]:
    """What was measured, what was picked of it, and what that gives away."""
    found, terms = proposal.measured, proposal.task.terms
    if found is None:
        return []
    picked = next(each for each in found.choices if each.mapping == proposal.task.mapping)
    required = f"{_percent(terms.required_train_ppm / PPM)}"
    if isinstance(found, LinearScores):
        plain = f"a linear model on mapped rows, {proposal.task.metric} on rows held out:"
    else:
        plain = (
            f"plain rows, on rows held out: logistic regression {_percent(found.plain.linear)}, gradient boosting "
            f"{_percent(found.plain.boosting)}, a small network {_percent(found.plain.network)}"
        )
    lines = [
        plain,
        *(f"  {_described(each, training.shape)}: {_reached(each, found)}" for each in found.choices),
        f"proposed (--protect {wishes.protect}): {_described(picked, training.shape)}; required on training rows: "
        f"{required}",
        *_given_away(picked, wishes),
    ]
    if isinstance(found, LinearScores):
        return lines
    chance = 1 / len(training.class_names)
    if picked.reached >= chance + WORTH_IT * (1 - chance):
        return lines
    why = "look at the labels and at what was read and left out, as told above"
    if proposal.task.encryption.scheme != "none" and len(proposal.task.discretisation.minimum) <= FEW_FEATURES:
        why = "with few features the rank limit leaves few query vectors; more features or --no-encryption may help"
    return [*lines, f"WARNING: that is hardly better than guessing ({_percent(chance)}): {why}"]


def _reached(choice: Choice, found: Frontier | LinearScores) -> str:
    said = f"about {_percent(choice.reached)}"
    if isinstance(found, LinearScores):
        return said
    return f"{said}, keeps {100 * min(max(choice.kept, 0.0), 1.0):.0f} % of what plain rows say of the label"


def _described(choice: Choice, shape: tuple[int, ...]) -> str:
    if not isinstance(choice.mapping, DenseMapping):
        return f"{choice.mapping.filters} filters per colour, all of a row given away per round"
    width = choice.mapping.segment_width(shape)
    what = "features" if choice.mapping.segments == 1 else f"features in each of {choice.mapping.segments} segments"
    return f"{choice.mapping.vectors} vectors on {width} {what}, {100 * choice.given_away:.0f} % given away per round"


def _given_away(choice: Choice, wishes: Wishes) -> list[str]:
    if wishes.scheme == "none":
        return []
    lines = []
    if choice.given_away >= RECOVERABLE_SHARE:
        lines.append(
            "from half of the numbers on, small whole numbers can be recovered exactly: here the encryption only times "
            "the start, and whoever has a round's keys may have the rows"
        )
    return [
        *lines,
        "nothing to hide? --no-encryption proposes a full-rank mapping, with which miners see all that is in the rows",
    ]


def _closing(proposal: ProposedTask) -> str:
    terms = proposal.task.terms
    if terms.earliest_close_s == terms.time_limit_s:
        return f"commits stay open for {duration(terms.time_limit_s)}; the best test accuracy wins"
    return f"commits close at the {terms.solutions_wanted}. qualified solution, or after {duration(terms.time_limit_s)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _costs(proposal: ProposedTask, cost: EncryptionCost, market: MarketParameters) -> list[str]:
    payment = payment_for(proposal.task.terms.reward_wei, market)
    costs = [f"cost: {payment}, and about {CLIENT_GAS:,} gas"]
    if proposal.task.encryption.scheme == "none":
        return [*costs, f"the rows are published in the clear ({size(cost.stored_bytes)})"]
    return [
        *costs,
        f"encryption: {duration(cost.encryption_s)} here, {size(cost.stored_bytes)} in the store; "
        f"each miner decrypts for {duration(cost.decryption_s)}",
        "encryption is timed release, not privacy: whoever has the keys of enough rounds can recover the rows",
    ]
