"""Attacks of the data client, and on what it keeps secret: test sets and functional keys."""

import dataclasses
import time
from itertools import product
from typing import Any

import numpy as np

from attacks.learning.commission import PREVIOUS_HASH, commission
from attacks.learning.commits import WITHOUT_CHECK
from attacks.learning.ground import Ground
from attacks.record import Attack, Outcome, Weakening
from pole.chain.commitments import SALT_BYTES, test_set_commitment
from pole.chain.profiles import ETHER
from pole.chain.structs import AbortReason, VerdictKind
from pole.errors import DecryptionFailed, KeyRefused
from pole.storage.cid import cid_of
from pole.task.rows import Rows, rows_to_bytes
from pole.task.weights import save_model
from testbed import rounds
from testbed.artifacts import Edit
from testbed.contracts import Chain
from verifier.judging.session import Session
from verifier.learning.models import judge_all

_LOW_SALTS = 16
_PATIENCE_S = 300.0


def _started(ground: Ground, **terms: Any) -> Chain:
    """A chain with three seated verifiers and one task."""
    rounds.seat(ground.chain, 3)
    rounds.submit(ground.chain, **terms)
    return ground.chain


def release_same_block(ground: Ground) -> Outcome:
    """A commit, the close of commits and the release in one block: the committer could know the test set."""
    chain = _started(ground, solutions_wanted=1)
    current, where = rounds.open_round(chain), chain.address("LearningChain")
    arguments = (current.round_id, current.previous_hash, bytes([1] * 32), rounds.CLAIM_PPM, 0)
    commit = chain.data("LearningChain", "commit", *arguments)
    release = chain.data("LearningChain", "releaseTestSet", current.round_id, rounds.TEST_SET, rounds.SALT)
    with chain.one_block():
        queued = [
            chain.queue(chain.attacker, where, commit, value_wei=rounds.commit_wei(chain, current), tip_gwei=30),
            chain.queue(chain.anyone, where, chain.data("LearningChain", "advance", current.round_id), tip_gwei=20),
            chain.queue(chain.client, where, release, tip_gwei=10),
        ]
    sent = [chain.sent(each) for each in queued]
    is_one_block = len({each.block_number for each in sent}) == 1 and not sent[0].error and not sent[1].error
    return Outcome(is_one_block and bool(sent[2].error), sent[2].said, {"error": sent[2].error})


def substitute_test_set(ground: Ground) -> Outcome:
    """Having seen who took part, the client releases another test set, or the same one under another salt."""
    chain = _started(ground)
    current = rounds.open_round(chain)
    rounds.commit(chain, current, chain.miner(0))
    rounds.advance(chain, current)
    chain.pass_time(1)
    other = cid_of(b"rows that a friend's model likes")
    tries = [(other, rounds.SALT), (rounds.TEST_SET, bytes(32)), (other, bytes(32))]
    sent = [chain.attempt(chain.client, "LearningChain", "releaseTestSet", current.round_id, *each) for each in tries]
    errors = {each.said for each in sent}
    return Outcome(all(each.error for each in sent), ", ".join(sorted(errors)), {"errors": " ".join(sorted(errors))})


def withhold_test_set(ground: Ground) -> Outcome:
    """The client releases only if it likes the outcome, and does not: it wants the models and no winner."""
    chain = _started(ground)
    current, miners = rounds.open_round(chain), [chain.miner(0), chain.miner(1)]
    rounds.commit(chain, current, *miners)
    rounds.advance(chain, current)
    rounds.advance(chain, current)  # nobody has released anything
    for miner in miners:
        rounds.reveal(chain, current, miner)
    rounds.advance(chain, current)
    vote = [rounds.untested(ppm) for ppm in (950_000, 960_000)]
    rounds.vote_and_finish(chain, current, {chain.verifier(i): vote for i in range(3)})
    task = chain.contracts.task_market.task(current.task_id)
    got = [chain.contracts.reward_reservoir.credit_wei(each) for each in (chain.client, *miners)]
    share_wei = rounds.CLIENT_BOND_WEI // 2
    paid = [rounds.BOND_WEI + share_wei, rounds.BOND_WEI + share_wei + task.reward_wei]
    lost_wei = rounds.CLIENT_BOND_WEI + task.reward_wei + task.verifier_fee_wei - got[0]
    evidence = f"the best by training is paid all the same; the client loses {lost_wei / ETHER} ETH, its bond included"
    return Outcome(got == [0, *paid], evidence, {"lost_wei": lost_wei})


def guess_labels(ground: Ground) -> Outcome:
    """The features of ten test rows are known; every labelling of them is compared with the commitment on chain."""
    made, chain = commission(ground.folder), ground.chain
    rows, market = made.test_rows(), chain.address("TaskMarket")
    who = (chain.chain_id, market, chain.client)
    hashed = test_set_commitment(*who, made.prepared.test_set_cid, made.prepared.salt_bytes)
    committed = chain.contracts.task_market.task(
        rounds.submit(chain, test_set_commitment=hashed)
    ).terms.test_set_commitment
    salts = [number.to_bytes(SALT_BYTES) for number in range(_LOW_SALTS)]
    guesses, found = 0, ""
    for labels in product(range(2), repeat=len(rows.labels)):
        cid = cid_of(rows_to_bytes(Rows(rows.x, np.array(labels, np.int64))))
        guesses += len(salts)
        if any(test_set_commitment(*who, cid, salt) == committed for salt in salts):
            found = "".join(str(label) for label in labels)
            break
    bits = SALT_BYTES * 8
    evidence = (
        f"labels {found} found" if found else f"{guesses:,} guesses, none right; each needs a salt of {bits} bits"
    )
    return Outcome(not found, evidence, {"guesses": guesses, "found": found})


def withhold_keys(ground: Ground) -> Outcome:
    """The client outbids an honest task and never publishes keys, to hold the chain."""
    chain = _started(ground)
    rounds.submit(chain, chain.attacker, payment_wei=2 * ETHER)
    held = rounds.open_round(chain, has_keys=False)
    keys_window_s = chain.contracts.learning_chain.parameters().keys_window_s
    rounds.advance(chain, held)
    ended = rounds.latest(chain)
    verifiers_wei = sum(chain.contracts.reward_reservoir.credit_wei(chain.verifier(i)) for i in range(3))
    refund_wei = chain.contracts.reward_reservoir.credit_wei(chain.attacker)
    following = rounds.open_round(chain)
    is_defended = (
        ended.abort_reason is AbortReason.KEYS_MISSING
        and verifiers_wei + refund_wei == rounds.CLIENT_BOND_WEI + 2 * ETHER
        and verifiers_wei > rounds.CLIENT_BOND_WEI
        and following.task_id != held.task_id
    )
    evidence = (
        f"{ended.abort_reason.name} after {keys_window_s:,} s; {verifiers_wei / ETHER:.3f} ETH, bond and "
        "occupancy, to the verifiers, "
        "the next round is the honest task's"
    )
    return Outcome(is_defended, evidence, {"bond_wei": verifiers_wei, "held_s": keys_window_s})


def wrong_keys(ground: Ground) -> Outcome:
    """The client publishes keys that do not open its rows, so that miners decrypt in vain."""
    made = commission(ground.folder, "ipfe-secp256k1")
    right = made.keys()
    altered = dataclasses.replace(right, etas=((right.etas[0][0] - 1, *right.etas[0][1:]), *right.etas[1:]))
    renamed = dataclasses.replace(made.keys(bytes(32)), previous_hash=PREVIOUS_HASH)
    said = []
    for name, keys in (("altered", altered), ("of another round", renamed), ("missing", None)):
        try:
            made.features(keys, ground.folder / name)
            said.append(f"{name}: decrypted")
        except (KeyRefused, DecryptionFailed) as exc:
            said.append(f"{name}: {type(exc).__name__}")
    is_defended = all(each.endswith("KeyRefused") for each in said)
    return Outcome(is_defended, ", ".join(said), {"said": " ".join(said)})


def release_without_content(ground: Ground) -> Outcome:
    """The client releases what it committed to, and gives nobody the rows behind it."""
    made, chain = commission(ground.folder), ground.chain
    inputs = made.inputs(ground.folder).model_copy(update={"test_set": made.prepared.test_set})
    session, model = Session(), made.store.put(save_model(made.new_model()))
    judge_all(ground.judge, inputs, {0: model}, session, time.monotonic() + _PATIENCE_S)
    verifiers = rounds.seat(chain, 3)
    rounds.submit(chain)
    current = rounds.open_round(chain)
    rounds.to_voting(chain, current, chain.miner(0), chain.miner(1))
    vote = [rounds.untested(ppm, VerdictKind.WITHHELD) for ppm in (950_000, 960_000)]
    rounds.vote_and_finish(chain, current, dict.fromkeys(verifiers, vote))
    is_better = rounds.winner(chain) == chain.miner(1)
    returned_wei = chain.contracts.reward_reservoir.credit_wei(chain.client)
    evidence = (
        f"the verifiers miss it: {session.is_test_set_missing}; the best by training wins: {is_better}; "
        f"{returned_wei / ETHER:g} ETH of bond are returned to the client"
    )
    figures = {"is_missed": session.is_test_set_missing, "is_better": is_better, "returned_wei": returned_wei}
    return Outcome(is_better and not returned_wei, evidence, figures)


ATTACKS: list[Attack[Ground]] = [
    Attack(
        "release-same-block",
        "release",
        "commit, close and release in one block",
        release_same_block,
        Weakening(
            "the release may follow at once",
            (Edit("LearningChain.sol", "if (block.timestamp <= released.commitsClosedAt) {", "if (false) {"),),
        ),
    ),
    Attack("test-set-substitution", "release", "release another test set", substitute_test_set, WITHOUT_CHECK),
    Attack(
        "selective-release",
        "release",
        "release only if the outcome pleases",
        withhold_test_set,
        Weakening(
            "the client keeps its bond",
            (Edit("RoundTreasury.sol", "ending.isWithheld = _isWithheld(state.round);", ""),),
        ),
    ),
    Attack(
        "label-brute-force",
        "release",
        "guess the labels of ten test rows from the commitment",
        guess_labels,
        Weakening("the salt is zero", patches={"dataclient.prepare.secrets.token_hex": lambda size: "00" * size}),
    ),
    Attack(
        "withheld-keys",
        "release",
        "outbid an honest task and withhold the keys",
        withhold_keys,
        Weakening(
            "the bond is returned",
            (
                Edit(
                    "libraries/Settlements.sol",
                    "settled.clientBondTo = Payee.Seated;",
                    "settled.clientBondTo = Payee.Client;",
                ),
            ),
        ),
    ),
    Attack(
        "wrong-keys",
        "release",
        "publish keys that open nothing",
        wrong_keys,
        Weakening("keys are not checked", patches={"pole.learning.features.check_keys": lambda *_: None}),
    ),
    Attack(
        "release-without-content",
        "release",
        "release the CID and keep the rows",
        release_without_content,
        Weakening(
            "the client keeps its bond",
            (Edit("LearningChain.sol", "if (found.isDataWithheld) ended.isTestSetReleased = false;", ""),),
        ),
    ),
]
