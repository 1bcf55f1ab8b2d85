"""The setting of every attack of this suite: the contracts on anvil, a judging process, an empty folder."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

from web3 import Web3

from attacks.record import Open, Weakening
from pole.chain.deployment import Deployment
from pole.chain.profiles import PUBLIC
from pole.storage.cid import cid_of
from testbed.artifacts import compiled, compiled_with
from testbed.chain import development_chain, web3_at
from testbed.contracts import ACCOUNTS, Chain, development_key
from testbed.deployer import deploy_with_web3
from verifier.judging.messages import JudgingLimits
from verifier.judging.process import JudgingProcess


class Ground:
    """One attack's. The chain and the judging process are made when an attack asks for them."""

    def __init__(self, base: "_Base", folder: Path, weakening: Weakening | None) -> None:
        self._base, self.folder, self._weakening = base, folder, weakening
        self.is_weakened = weakening is not None

    @cached_property
    def chain(self) -> Chain:
        """Deployed with the public profile; with the weakening's edits, if it has any."""
        edits = self._weakening.edits if self._weakening else ()
        if not edits:
            return self._base.chain
        return _deploy(self._base.web3, compiled() | compiled_with(edits))

    @property
    def judge(self) -> JudgingProcess:
        """The verifier's judging process, kept from attack to attack as a verifier keeps it."""
        return self._base.judge


class _Base:
    """What is slow to start and lives as long as the session."""

    def __init__(self, resources: ExitStack) -> None:
        self._resources = resources
        self._snapshot: str | None = None

    @cached_property
    def web3(self) -> Web3:
        node = self._resources.enter_context(development_chain(block_time_s=None, accounts=ACCOUNTS))
        return web3_at(node.rpc_url)

    @cached_property
    def chain(self) -> Chain:
        chain = _deploy(self.web3, compiled())
        self._snapshot = chain.rpc("evm_snapshot")
        return chain

    @cached_property
    def judge(self) -> JudgingProcess:
        return self._resources.enter_context(JudgingProcess(JudgingLimits()))

    def undo(self) -> None:
        """Forget everything that happened on the chain."""
        if self._snapshot is not None:
            self.chain.rpc("evm_revert", self._snapshot)
            self._snapshot = self.chain.rpc("evm_snapshot")


def _deploy(web3: Web3, artifacts: Mapping[str, Any]) -> Chain:
    return Chain(web3, deploy(web3, artifacts), artifacts)


def deploy(web3: Web3, artifacts: Mapping[str, Any]) -> Deployment:
    """The contracts with the public profile, from account 0."""
    return deploy_with_web3(web3, development_key(0), PUBLIC, cid_of(b"idle manifest"), artifacts)


@contextmanager
def session() -> Iterator[Open[Ground]]:
    """Yields what opens the ground for one attack."""
    with ExitStack() as resources:
        base = _Base(resources)

        @contextmanager
        def open_ground(weakening: Weakening | None) -> Iterator[Ground]:
            with ExitStack() as own:
                folder = Path(own.enter_context(tempfile.TemporaryDirectory(prefix="attack-")))
                own.callback(base.undo)
                for name, stand_in in (weakening.patches if weakening else {}).items():
                    own.enter_context(patch(name, stand_in))
                yield Ground(base, folder, weakening)

        yield open_ground
