"""Drafts a task file from the client's rows: proposes every choice and says what it will cost."""

from dataclasses import dataclass, replace

from dataclient.drafting.costs import CLIENT_GAS, EncryptionCost, duration, encryption_cost, payment_for, size
from dataclient.drafting.proposal import ProposedTask, Wishes, propose
from dataclient.drafting.report import report_html
from dataclient.drafting.template import render
from dataclient.prepare import check_task
from dataclient.sources.boundary import printable
from dataclient.sources.load import SourceOptions, load_source, training_and_test
from dataclient.sources.plain import PlainData, listed
from dataclient.sources.traps import traps
from pole.chain.structs import MarketParameters
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


def draft(options: SourceOptions, wishes: Wishes, market: MarketParameters) -> Draft:
    """Reads and splits the rows, and proposes a task. Raises BadInput for rows that cannot be commissioned."""
    data = load_source(options)
    training, test = training_and_test(data, options)
    columns = None if data.columns is None else list(data.columns)
    options = options.model_copy(update={"columns": columns, "digest": data.digest})
    features = training.x[0].size
    proposal = propose(training, options, wishes)
    cost = encryption_cost(proposal.task, features, training.rows, test.rows)
    if wishes.time_limit_s is None and cost.decryption_s > 1:  # miners decrypt on the training clock
        proposal = propose(training, options, wishes, miner_setup_s=cost.decryption_s)
    task = proposal.task.model_copy(update={"preprocessing": data.preprocessing})
    proposal = replace(proposal, task=task)
    check_task(task, training, test.rows)
    rows = f"{training.rows} training and {test.rows} test rows, {features} features, {_described(training)}"
    told = [printable(note) for note in (*data.notes, *traps(training, test))]
    measured = _measured(proposal, len(training.class_names))
    return Draft(proposal, [rows, *told, *measured, *_costs(proposal, cost, market)], training)


def _described(training: PlainData) -> str:
    if training.target is Target.CLASS:
        return f"{len(training.class_names)} classes"
    return f"{training.target}: {listed(training.names)}"


def _measured(proposal: ProposedTask, classes: int) -> list[str]:
    terms, reached_ppm = proposal.task.terms, proposal.baseline_ppm
    if reached_ppm is None:
        return []
    said = (
        f"a linear model on the mapped rows reaches {100 * reached_ppm / PPM:.1f} % on rows held out; "
        f"required train accuracy: {100 * terms.required_train_ppm / PPM:.1f} %"
    )
    if proposal.task.metric != "accuracy":
        return [
            f"a linear model on the mapped rows has {proposal.task.metric} {reached_ppm / PPM:.3f} on rows held out; "
            f"required on training rows: {terms.required_train_ppm / PPM:.3f}"
        ]
    chance = 1 / classes
    if reached_ppm / PPM >= chance + WORTH_IT * (1 - chance):
        return [said]
    why = "look at the labels and at what was read and left out, as told above"
    if proposal.task.encryption.scheme != "none" and len(proposal.task.discretisation.minimum) <= FEW_FEATURES:
        why = "with few features the rank limit leaves few query vectors; more features or --no-encryption may help"
    return [said, f"WARNING: that is hardly better than guessing ({100 * chance:.1f} %): {why}"]


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
