"""Drafts a task file from the client's rows: proposes every choice and says what it will cost."""

from dataclasses import dataclass

from dataclient.estimate import CLIENT_GAS, Effort, duration, effort_of, payment_for, size
from dataclient.prepare import check_task
from dataclient.proposal import Proposal, Wishes, propose
from dataclient.sources import SourceOptions, load_source, training_and_test
from dataclient.template import render
from pole.evaluation import PPM
from pole.records import MarketParameters


@dataclass(frozen=True)
class Draft:
    """`remarks`: what was measured and what it costs, a sentence each."""

    proposal: Proposal
    remarks: list[str]

    @property
    def text(self) -> str:
        """The task file."""
        return render(self.proposal.task, self.remarks)


def draft(options: SourceOptions, wishes: Wishes, market: MarketParameters) -> Draft:
    """Reads and splits the rows, and proposes a task. Raises BadInput for rows that cannot be commissioned."""
    training, test = training_and_test(load_source(options), options)
    features = training.x[0].size
    proposal = propose(training, options, wishes, test_rows=test.rows)
    effort = effort_of(proposal.task, features, training.rows, test.rows)
    if wishes.time_limit_s is None and effort.decryption_s > 1:  # miners decrypt on the training clock
        proposal = propose(training, options, wishes, test_rows=test.rows, miner_setup_s=effort.decryption_s)
    check_task(proposal.task, training, test.rows)
    rows = (
        f"{training.rows} training and {test.rows} test rows, {features} features, {len(training.class_names)} classes"
    )
    return Draft(proposal, [rows, *_measured(proposal), *_costs(proposal, effort, market)])


def _measured(proposal: Proposal) -> list[str]:
    terms = proposal.task.terms
    if proposal.baseline_ppm is None:
        return []
    return [
        f"a linear model on the mapped rows reaches {100 * proposal.baseline_ppm / PPM:.1f} % on rows held out; "
        f"required train accuracy: {100 * terms.required_train_ppm / PPM:.1f} %"
    ]


def _costs(proposal: Proposal, effort: Effort, market: MarketParameters) -> list[str]:
    payment = payment_for(proposal.task.terms.reward_wei, market)
    costs = [f"cost: {payment}, and about {CLIENT_GAS:,} gas"]
    if proposal.task.encryption.scheme == "none":
        return [*costs, f"the rows are published in the clear ({size(effort.stored_bytes)})"]
    return [
        *costs,
        f"encryption: {duration(effort.encryption_s)} here, {size(effort.stored_bytes)} in the store; "
        f"each miner decrypts for {duration(effort.decryption_s)}",
        "encryption is timed release, not privacy: whoever has the keys of enough rounds can recover the rows",
    ]
