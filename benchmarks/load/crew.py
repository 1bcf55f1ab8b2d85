"""Several roles of one kind in one process, each with its own account, journal and home.

Each runs its loop in a thread of its own. Verifiers share one judging process, which judges for one after the other;
each request has all the models of a round, and each verifier computes the features for itself.
"""

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
import torch
from pydantic import BaseModel, ConfigDict

from benchmarks.load import standin
from dataclient.serve import ClientNode
from miner.learning.node import MinerNode, MinerOptions
from miner.limits import MinerLimits
from pole import metrics
from pole.atomicfile import write_atomically
from pole.money import ether_to_wei
from pole.node import logs
from pole.node.context import RoleContext, RoleSettings, open_context
from pole.node.loop import Node
from pole.task.manifest import Document
from verifier.judging.messages import Finding, JudgingLimits
from verifier.judging.process import JudgingProcess
from verifier.node import VerifierNode

REPORT_EVERY_S = 1.0
_VOTE_RESERVE_S = 30.0
_JUDGE = JudgingLimits(memory_bytes=8 << 30, cpu_s=1800, wall_s=1800)
_STOP_S = 5.0


class Member(BaseModel):
    """One account and its place."""

    model_config = ConfigDict(frozen=True)

    name: str
    number: int
    home: Path
    keyfile: Path


class Plan(BaseModel):
    """What a crew is to do; a file, since command lines are short."""

    model_config = ConfigDict(frozen=True)

    role: str
    rpc: str
    deployment: Path
    store: str
    poll_s: float
    stake_ether: str
    seed: int
    report: Path
    members: list[Member]


class SharedJudge(JudgingProcess):
    """One judging process for several verifiers; whoever comes while it works, waits."""

    def __init__(self, limits: JudgingLimits) -> None:
        super().__init__(limits)
        self._turn = threading.Lock()

    def ask(self, request: Document, give_up_at_s: float) -> Iterator[Finding]:
        with self._turn:
            yield from super().ask(request, give_up_at_s)


class Crew:
    """Threads, and a report of what they have asked of the node."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._stop = threading.Event()
        self._judge = SharedJudge(_JUDGE)
        self._ready: set[str] = set()
        self._passes = dict.fromkeys((member.name for member in plan.members), 0)
        self._failures: list[str] = []
        self._log = structlog.get_logger()

    def run(self) -> None:
        """Until SIGTERM."""
        signal.signal(signal.SIGTERM, lambda *_: self._stop.set())
        threads = [threading.Thread(target=self._play, args=(each,), daemon=True) for each in self.plan.members]
        for thread in threads:
            thread.start()
        while not self._stop.wait(REPORT_EVERY_S):
            self._report()
        deadline = time.monotonic() + _STOP_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._report()
        self._judge.close()

    def _play(self, member: Member) -> None:
        """One role's loop. Whatever ends it before its time is a failure of the whole run."""
        settings = RoleSettings(
            rpc=[self.plan.rpc],
            deployment=self.plan.deployment,
            store=self.plan.store,
            home=member.home,
            account=str(member.keyfile),
            password_file=None,
            poll_interval=self.plan.poll_s,
        )
        try:
            with open_context(self.plan.role, settings) as context:
                node = self._node(replace(context, log=context.log.bind(name=member.name)), member)
                self._ready.add(member.name)
                while not self._stop.is_set():
                    pause_s = node.step()
                    self._passes[member.name] += 1
                    self._stop.wait(pause_s)
        except Exception as exc:
            self._log.exception("a role ended", name=member.name)
            self._failures.append(f"{member.name}: {type(exc).__name__}: {exc}")

    def _node(self, context: RoleContext, member: Member) -> Node:
        match self.plan.role:
            case "dataclient":
                return ClientNode(context)
            case "miner":
                return MinerNode(context, _miner_options(member, self.plan.seed))
            case _:
                stake_wei = ether_to_wei(self.plan.stake_ether)
                verifier = VerifierNode(context, _JUDGE, _VOTE_RESERVE_S, stake_wei)
                for lane in verifier.lanes:
                    lane.voting.judge = self._judge
                return verifier

    def _report(self) -> None:
        figures: dict[str, Any] = {
            "role": self.plan.role,
            "members": len(self.plan.members),
            "ready": len(self._ready),
            "passes": sum(self._passes.values()),
            "calls": _samples(metrics.RPC_CALLS, "method"),
            "errors": _samples(metrics.ERRORS, "kind"),
            "transactions": int(sum(_samples(metrics.TRANSACTIONS, "").values())),
            "failures": self._failures,
        }
        write_atomically(self.plan.report, json.dumps(figures).encode())


def _miner_options(member: Member, seed: int) -> MinerOptions:
    return MinerOptions(
        trainer=standin.train,
        device=torch.device("cpu"),
        seed=seed + member.number,
        limits=MinerLimits(0, 8 << 30),
        commit_latency_s=None,
        is_idle_allowed=False,
        withdraw_over_wei=None,
    )


def _samples(counter: Any, label: str) -> dict[str, int]:
    """A counter's values by one label."""
    found = [sample for metric in counter.collect() for sample in metric.samples if sample.name.endswith("_total")]
    return {str(sample.labels.get(label, "")): int(sample.value) for sample in found}


if __name__ == "__main__":
    logs.configure(False, "info")
    torch.set_num_threads(1)
    Crew(Plan.model_validate_json(Path(sys.argv[1]).read_bytes())).run()
