"""Attacks on the published rules with weights that do not move: `w' == w` meets any requirement."""

import numpy as np
import torch
from numpy.typing import NDArray

from attacks.gradient.ground import Ground, batch_of, measure, perceptron, take_step, train
from attacks.gradient.paper import FAMILY, honest_search, worth
from attacks.record import Attack, Outcome
from pole.gradient.manifest import GradientManifest
from pole.gradient.network import FlatNetwork
from pole.gradient.requirements import paper_requirements
from pole.gradient.rules import check_requirements
from pole.task.layers import TorchvisionModel

_COUNT = 8
_MANY = 16
_SCALE = 256.0  # a power of two, so that scaling is exact
_WARM_UP = 300
_ALIVE = 2


def unmoved(ground: Ground) -> Outcome:
    """A small ReLU network, honestly trained: its unmoved weights alone make blocks cheaper than 2^-|R|."""
    manifest = ground.manifest(perceptron("relu"), rules="paper", requirement_count=_COUNT, learning_rate=0.01)
    network, generator = FlatNetwork.genesis(manifest, ground.seed), ground.generator("unmoved")
    shares, hits, trials = [], 0, 0
    for step in range(ground.pick(60, 300, 2000)):
        before, after = _honest_step(ground, network, generator)
        shares.append(float(np.mean(before == after)))
        for draw in range(_COUNT):
            requirements = paper_requirements(ground.hash(f"unmoved {step} {draw}"), _COUNT, network.weight_count)
            hits += check_requirements(before, after, requirements.tolist())
            trials += 1
    return worth(
        hits / trials * 2**_COUNT,
        f"{min(shares):.0%} to {max(shares):.0%} of the weights do not move; |R|={_COUNT}: {hits} of {trials} steps",
        unmoved_share=float(np.mean(shares)),
    )


def residual_network(ground: Ground) -> Outcome:
    """Stock ResNet-18 on 32x32: its last maps are 1x1, so most taps of their 3x3 kernels only ever see padding."""
    shares = {stem: _moved_share(ground, stem) for stem in ("stock", "cifar")}
    unmoved_share = 1 - shares["stock"]
    return worth(
        (1 + unmoved_share) ** _COUNT,
        f"{unmoved_share:.0%} unmoved with the stock stem, {1 - shares['cifar']:.2%} with the CIFAR stem; "
        f"|R|={_COUNT} from that",
        unmoved_share=unmoved_share,
        unmoved_share_cifar=1 - shares["cifar"],
    )


def dead_units(ground: Ground) -> Outcome:
    """W with 62 of 64 hidden units dead: nothing behind them moves, and the accuracy rule still passes."""
    network = _trained(ground, _MANY, _WARM_UP)
    with torch.no_grad():
        network.parameters[0][_ALIVE:] = 0
        network.parameters[1][_ALIVE:] = -1
        # All classes tie, so that nearly any step is an improvement.
        network.parameters[2].zero_()
        network.parameters[3].zero_()
    return _by_chosen_weights(ground, network, "dead units", "62 of 64 hidden units dead")


def rescaling(ground: Ground) -> Outcome:
    """The same function with weights in times 256 and weights out by 256: steps in are too small for float32."""
    network = _trained(ground, _MANY, 0)
    accuracy = network.test_ppm(ground.samples)
    with torch.no_grad():
        network.parameters[0].mul_(_SCALE)
        network.parameters[1].mul_(_SCALE)
        network.parameters[2].div_(_SCALE)
    is_same = network.test_ppm(ground.samples) == accuracy
    return _by_chosen_weights(ground, network, "rescaling", f"same accuracy: {is_same}")


def _by_chosen_weights(ground: Ground, network: FlatNetwork, purpose: str, note: str) -> Outcome:
    """Steps from doctored weights, each from the same W: how many pass both rules of Algorithm 2."""
    start, accuracy, generator = network.snapshot(), network.test_ppm(ground.samples), ground.generator(purpose)
    steps, hits, passed = ground.pick(60, 300, 2000), 0, 0
    weights = network.weight_count
    for step in range(steps):
        network.restore(start)
        before, after = _honest_step(ground, network, generator)
        requirements = paper_requirements(ground.hash(f"{purpose} {step}"), _MANY, weights)
        if check_requirements(before, after, requirements.tolist()):
            hits += 1
            passed += network.test_ppm(ground.samples) > accuracy
    network.restore(start)
    search = honest_search(ground, network, list(range(_MANY)))
    rates = measure(search, search)
    return worth(
        hits / steps * 2**_MANY,
        f"{note}; |R|={_MANY}: {hits} of {steps} steps, {passed} of them with growing accuracy",
        rates=rates,
        hit_share=hits / steps,
        passed_share=passed / steps,
    )


def _trained(ground: Ground, count: int, steps: int) -> FlatNetwork:
    """Trained quickly; its manifest then says the paper's rate."""
    learning = ground.manifest(perceptron("relu"), rules="paper", requirement_count=count, learning_rate=0.05)
    network = FlatNetwork.genesis(learning, ground.seed)
    train(ground, network, steps, ground.generator("warm-up"))
    network.manifest = learning.model_copy(update={"learning_rate": 0.001})
    return network


def _honest_step(
    ground: Ground, network: FlatNetwork, generator: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    before = network.weights.numpy().copy()
    take_step(ground, network, batch_of(ground, generator))
    return before, network.weights.numpy()


def _moved_share(ground: Ground, stem: str) -> float:
    """Of a ResNet-18's weights in one step on digits blown up to 3x32x32."""
    small = ground.manifest(perceptron("relu"), rules="paper", requirement_count=_COUNT)
    model = TorchvisionModel.model_validate({"kind": "torchvision", "architecture": "resnet18", "stem": stem})
    data = small.data.model_copy(update={"shape": [3, 32, 32]})
    manifest: GradientManifest = small.model_copy(update={"model": model, "data": data})
    network, batch = FlatNetwork.genesis(manifest, ground.seed), batch_of(ground, ground.generator("resnet"))
    images = ground.samples.train_x[batch].repeat_interleave(4, 2).repeat_interleave(4, 3).expand(-1, 3, -1, -1)
    before = network.weights.clone()
    network.step(images, ground.samples.train_y[batch])
    return float((network.weights != before).double().mean())


ATTACKS = [
    Attack("paper-unmoved-weights", FAMILY, "weights that do not move meet any requirement", unmoved),
    Attack("paper-stock-resnet", FAMILY, "mine a network most of which never gets a gradient", residual_network),
    Attack("paper-dead-units", FAMILY, "kill hidden units before the step", dead_units),
    Attack("paper-rescaling", FAMILY, "rescale layers so that steps vanish in rounding", rescaling),
]
