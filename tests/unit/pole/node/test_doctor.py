"""`pole doctor`: each fault is named with what mends it; nothing is sent, made or changed, and no secret shown."""

import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from eth_account.signers.local import LocalAccount
from rich.console import Console
from web3 import Web3

from pole.chain.artifacts import Artifact, artifact
from pole.chain.deployment import Deployment
from pole.encryption.simd.cache import kernel_cache
from pole.journal.journal import Journal
from pole.journal.locks import account_lock
from pole.node.doctor import account, chain, machine, storage
from pole.node.doctor.check import Check, Verdict, check, problem
from pole.node.doctor.command import doctor, print_row
from pole.node.keyfile import PASSWORD_VARIABLE, create_account
from pole.urls import keep_secret
from tests.unit.peer import Answer, nobody, peer

ETHER = 10**18
KEY = "s3cr3t-project-key"
DOCS = Path(__file__).parents[4] / "docs"
OK, WARNING, PROBLEM = Verdict.OK, Verdict.WARNING, Verdict.PROBLEM


def says(found: Check, verdict: Verdict, text: str, remedy: str = "") -> None:
    assert (found.verdict, text in found.text, remedy in found.remedy) == (verdict, True, True), found
    assert bool(found.remedy) == (verdict is not OK), found


def http(status: str, body: bytes = b"{}", headers: str = "") -> Answer:
    return lambda talk: talk.answer(body, status, f"Content-Type: application/json\r\n{headers}")


def rpc_error(code: int, message: str) -> Answer:
    body = {"jsonrpc": "2.0", "id": 0, "error": {"code": code, "message": message}}
    return http("200 OK", json.dumps(body).encode())


def rpc_result(result: Any) -> Answer:
    return http("200 OK", json.dumps({"jsonrpc": "2.0", "id": 0, "result": result}).encode())


# --- the machine -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(3, 10, 14), (3, 14, 0), (4, 0, 0)])
def test_python__not_supported__problem(version: tuple[int, ...]) -> None:
    says(machine.check_python(version), PROBLEM, "3.11 to 3.13 are supported", "uv venv")


def test_python__supported__ok() -> None:
    assert [machine.check_python((3, minor, 1)).verdict for minor in (11, 12, 13)] == [OK] * 3


def test_torch__missing__warning_that_names_the_extra() -> None:
    says(machine.check_torch("no_torch_here"), WARNING, "miners need it", "pip install 'useful-proof-of-work[train]'")


def test_torch__here__names_the_device() -> None:
    says(machine.check_torch(), OK, "trains on")


@pytest.fixture
def no_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    kernel_cache.cache_clear()
    yield kernel_cache()
    kernel_cache.cache_clear()


def test_kernels__not_compiled__warning_with_the_command(no_kernels: Path) -> None:
    says(machine.check_kernels(), WARNING, "not compiled", "python -m pole.encryption")


def test_kernels__of_another_python__not_compiled(no_kernels: Path) -> None:
    (no_kernels / "simd_0").mkdir(parents=True)
    (no_kernels / "simd_0" / "kernels.powers-208.py39.nbi").touch()
    says(machine.check_kernels(), WARNING, "not compiled")


def test_kernels__cache_not_writable__warning(no_kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    says(machine.check_kernels(), WARNING, "cannot be written", "NUMBA_CACHE_DIR")


def test_kernels__compiled__ok(no_kernels: Path) -> None:
    (no_kernels / "simd_0").mkdir(parents=True)
    tag = f"py{sys.version_info[0]}{sys.version_info[1]}"
    (no_kernels / "simd_0" / f"kernels.powers-208.{tag}.nbi").touch()
    says(machine.check_kernels(), OK, "compiled (")


@pytest.mark.parametrize(("free_bytes", "verdict"), [(10**8, PROBLEM), (5 * 10**9, WARNING), (10**11, OK)])
def test_disk__by_free_space(
    free_bytes: int, verdict: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free_bytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    says(machine.check_disk([tmp_path / "not" / "there"]), verdict, "GB free for")


# --- the node --------------------------------------------------------------------------------------------------------

FAULTS = {
    "HTTP 429": (http("429 Too Many Requests", headers="Retry-After: 7\r\n"), "fewer requests than a role needs (HTTP"),
    "-32005": (rpc_error(-32005, "daily limit"), "fewer requests than a role needs (JSON-RPC error -32005)"),
    "HTTP 403": (http("403 Forbidden"), "refuses you (HTTP 403)"),
    "HTTP 502": (http("502 Bad Gateway"), "answers HTTP 502"),
    "a web page": (http("200 OK", b"<html>"), "not JSON-RPC"),
    "no response": (http("200 OK", b"[]"), ""),
    "its own error": (rpc_error(-32000, f"no key {KEY}"), "the node answers"),
    "silence": (lambda talk: time.sleep(1.5), "no answer within"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_rpc__fault__told_apart_without_the_key(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "_TIMEOUT_S", 0.5)
    answer, text = FAULTS[fault]
    with peer(answer) as node:
        rpc = f"{node.url}/v3/{KEY}?token={KEY}"
        keep_secret(rpc)
        found = chain.check_rpc(rpc)
        says(found, PROBLEM, text, "")
        assert KEY not in str(found)


def test_rpc__nobody__is_down() -> None:
    says(chain.check_rpc(nobody()), PROBLEM, "the node is down", "anvil --block-time 1")


@pytest.mark.parametrize("rpc", ["ws://localhost:8546", "localhost:8545", "", "http://[", "file:///etc/passwd"])
def test_rpc__not_http__problem(rpc: str) -> None:
    assert chain.check_rpc(rpc).verdict is PROBLEM


def test_rate__limit_after_a_few__problem(anvil: str) -> None:
    answers = [rpc_result({"number": "0x1", "timestamp": "0x1"})] * 5
    with peer(lambda talk: (answers.pop() if answers else FAULTS["HTTP 429"][0])(talk)) as node:
        says(chain.check_rate(chain.node_at(node.url)), PROBLEM, "fewer requests", "--poll-interval")


@pytest.mark.parametrize(
    ("age_s", "verdict"), [(-3600, WARNING), (-5, OK), (0, OK), (60, WARNING), (400, PROBLEM), (10**6, PROBLEM)]
)
def test_clock__age_of_the_newest_block(age_s: float, verdict: Verdict) -> None:
    with peer(rpc_result({"number": "0x7", "timestamp": hex(10**9)})) as node:
        says(chain.check_clock(chain.node_at(node.url), lambda: 10**9 + age_s), verdict, "block 7")


def test_synced__far_behind__problem() -> None:
    state = {"startingBlock": "0x0", "currentBlock": "0x10", "highestBlock": "0x20"}
    with peer(rpc_result(state)) as node:
        says(chain.check_synced(chain.node_at(node.url)), PROBLEM, "block 16 of 32", "wait")


def test_gas_price__over_the_cap__warning() -> None:
    with peer(rpc_result({"number": "0x7", "baseFeePerGas": hex(400 * 10**9)})) as node:
        says(chain.check_gas_price(chain.node_at(node.url)), WARNING, "400 gwei", "wait")


def test_node__well__all_ok(anvil: str) -> None:
    node = chain.node_at(anvil)
    looks = (chain.check_rate, chain.check_synced, chain.check_clock, chain.check_gas_price)
    assert [look(node).verdict for look in looks] == [OK] * 4
    says(chain.check_rpc(f"{anvil}/?key={KEY}"), OK, f"{anvil} is chain 31337")


# --- the deployment --------------------------------------------------------------------------------------------------


def test_deployment__no_file__problem(tmp_path: Path) -> None:
    says(chain.check_deployment(tmp_path / "31337.json", 31337), PROBLEM, "No such file", "ape run deploy")


def test_deployment__not_one__problem(tmp_path: Path) -> None:
    (tmp_path / "31337.json").write_text("{}")
    says(chain.check_deployment(tmp_path / "31337.json", None), PROBLEM, "is not a deployment file", "ape run deploy")


def test_contracts__other_genesis__problem(anvil: str, deployment: Deployment) -> None:
    other = deployment.model_copy(update={"genesis_hash": "0x" + "ab" * 32})
    says(chain.check_contracts(anvil, other), PROBLEM, "0xabab", "deploy again")


def test_contracts__no_code__problem(anvil: str, deployment: Deployment) -> None:
    empty = deployment.contracts["TaskMarket"].model_copy(update={"address": "0x" + "11" * 20})
    other = deployment.model_copy(update={"contracts": {**deployment.contracts, "TaskMarket": empty}})
    says(chain.check_contracts(anvil, other), PROBLEM, "no code at", "deploy again")


def test_contracts__other_code__problem(anvil: str, deployment: Deployment) -> None:
    token = deployment.contracts["TaskMarket"].model_copy(update={"address": deployment.address("RewardToken")})
    other = deployment.model_copy(update={"contracts": {**deployment.contracts, "TaskMarket": token}})
    assert chain.check_contracts(anvil, other).verdict is PROBLEM


def test_contracts__code_of_another_version__warning(
    anvil: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = artifact("TaskMarket").bytecode[:-8] + "00" * 4
    monkeypatch.setattr(chain, "artifact", lambda name: Artifact([], older))
    says(chain.check_contracts(anvil, deployment), WARNING, "TaskMarket", "install the version")


@pytest.mark.parametrize("place", [2, 1000, -60])
def test_is_code_of__one_byte_differs__no(place: int, web3: Web3, deployment: Deployment) -> None:
    code = bytearray(web3.eth.get_code(web3.to_checksum_address(deployment.address("TaskMarket"))))
    assert chain.is_code_of("TaskMarket", bytes(code))
    code[place] ^= 0xFF
    assert not chain.is_code_of("TaskMarket", bytes(code))


def test_contracts__as_deployed__ok(anvil: str, deployment: Deployment) -> None:
    says(chain.check_contracts(anvil, deployment), OK, "code at all 6 addresses")


# --- the store -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("location", ["127.0.0.1:5001", f"host:5001/{KEY}", "ftp://host/x", f"ipfs://{KEY}"])
def test_store__no_folder_and_no_daemon__problem(location: str) -> None:
    found = storage.check_store(location)
    says(found, PROBLEM, "neither a folder", "/ip4/127.0.0.1/tcp/5001")
    assert KEY not in str(found)


def test_store__file__problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    says(storage.check_store(str(tmp_path / "file")), PROBLEM, "is not a folder", "--store")


def test_store__not_writable__problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    says(storage.check_store(str(tmp_path)), PROBLEM, "cannot be read and written", "chown")


def test_store__ipfs_package_missing__problem_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    says(storage.check_store(nobody()), PROBLEM, "missing", "pip install 'useful-proof-of-work[ipfs]'")


def test_store__daemon_down__problem() -> None:
    says(storage.check_store(nobody()), PROBLEM, "no proper answer", "ipfs daemon")


def test_store__daemon_answers__ok() -> None:
    with peer(http("200 OK", b'{"Keys": {}}')) as daemon:
        says(storage.check_store(daemon.url), OK, "answers")


def test_store__missing_folder__ok_and_not_made(tmp_path: Path) -> None:
    says(storage.check_store(str(tmp_path / "store")), OK, "not there yet")
    assert not (tmp_path / "store").exists()


# --- the account -----------------------------------------------------------------------------------------------------


@pytest.fixture
def keyfile(tmp_path: Path, new_account: Callable[..., LocalAccount]) -> Path:
    path = tmp_path / "key file.json"
    create_account(path, "pw", private_key=bytes(new_account().key), kdf_iterations=2)
    return path


def address_in(keyfile: Path) -> str:
    return str(json.loads(keyfile.read_text())["address"])


def test_keyfile__missing__problem(tmp_path: Path) -> None:
    says(account.check_keyfile(str(tmp_path / "no.json")), PROBLEM, "no key file", "pole account create")


@pytest.mark.parametrize("text", ["", "[]", "{}", "no json", '{"crypto": {}, "address": "0x12"}', '{"crypto"'])
def test_keyfile__broken__problem(text: str, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(text)
    (tmp_path / "key.json").chmod(0o600)
    assert account.check_keyfile(str(tmp_path / "key.json")).verdict is PROBLEM


@pytest.mark.parametrize(("mode", "verdict"), [(0o644, WARNING), (0o620, PROBLEM), (0o600, OK), (0o400, OK)])
def test_keyfile__open_to_others__chmod_that_survives_spaces(mode: int, verdict: Verdict, keyfile: Path) -> None:
    keyfile.chmod(mode)
    says(account.check_keyfile(str(keyfile)), verdict, "", f"chmod 600 '{keyfile}'" if verdict is not OK else "")


@pytest.mark.parametrize(("text", "mode", "verdict"), [("", 0o600, PROBLEM), ("x", 0o644, WARNING), ("x", 0o600, OK)])
def test_password__file(text: str, mode: int, verdict: Verdict, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(text)
    (tmp_path / "password").chmod(mode)
    assert account.check_password(tmp_path / "password").verdict is verdict


def test_password__missing_file__problem(tmp_path: Path) -> None:
    says(account.check_password(tmp_path / "no"), PROBLEM, "No such file", "check the path")


def test_password__no_terminal__warning_and_variable_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    says(account.check_password(None), WARNING, "no terminal", "--password-file")
    monkeypatch.setenv(PASSWORD_VARIABLE, KEY)
    says(account.check_password(None), OK, f"from {PASSWORD_VARIABLE}")
    assert KEY not in str(account.check_password(None))


@pytest.mark.parametrize(("mode", "verdict"), [(0o755, WARNING), (0o777, PROBLEM), (0o700, OK)])
def test_home__permissions(mode: int, verdict: Verdict, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(mode)
    assert account.check_home(tmp_path / "home").verdict is verdict


def test_home__file__problem(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    says(account.check_home(tmp_path / "home"), PROBLEM, "is not a folder", "--home")


def test_journal__damaged__problem(tmp_path: Path) -> None:
    (tmp_path / "journal-1.sqlite").write_bytes(b"no database" * 1000)
    says(account.check_journal(tmp_path / "journal-1.sqlite", None), PROBLEM, "is damaged", "restore")


def test_journal__of_another_account__problem(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal-1.sqlite") as journal:
        journal.bind("account", "0x01")
    says(account.check_journal(tmp_path / "journal-1.sqlite", "0x02"), PROBLEM, "belongs to account 0x01", "--home")


def test_journal__of_a_living_process__told_and_unchanged(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal-1.sqlite") as journal:
        journal.bind("account", "0x01")
        journal.transactions.sign(journal.transactions.plan("key", "what"), 4, "0xab", b"raw")
        before = contents(tmp_path)
        found = account.check_journal(journal.path, "0x01")
        assert contents(tmp_path) == before
    says(found, OK, "1 transactions under way, process")


def test_journal__of_a_killed_process__read_and_unchanged(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from pole.journal.journal import Journal\n"
    code += "Journal(Path(sys.argv[1])).bind('account', '0x01'); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "journal-1.sqlite")], check=True)
    before = contents(tmp_path)
    assert (tmp_path / "journal-1.sqlite-wal").stat().st_size, "the account is only in the log yet"
    says(account.check_journal(tmp_path / "journal-1.sqlite", "0x01"), OK, "of 0x01: whole")
    assert contents(tmp_path) == before


def test_account_lock__held__names_the_holder(deployment: Deployment, tmp_path: Path) -> None:
    with account_lock("0x01", deployment.chain_id, deployment.genesis_hash, tmp_path):
        says(account.check_account_lock("0x01", deployment), OK, f"--home {tmp_path}")
    says(account.check_account_lock("0x01", deployment), OK, "no long-running process")


@pytest.mark.parametrize("role", account.ROLES)
@pytest.mark.parametrize(("balance_wei", "verdict"), [(10**15, PROBLEM), (50 * ETHER, OK)])
def test_balance__against_bond_and_gas(
    role: str,
    balance_wei: int,
    verdict: Verdict,
    anvil: str,
    deployment: Deployment,
    new_account: Callable[..., LocalAccount],
) -> None:
    address = new_account(balance_wei).address
    found = account.check_balance(account.ROLES[role], anvil, deployment, address)
    says(found, verdict, f"{role}: {'0.001' if verdict is PROBLEM else '50'} ether", "" if verdict is OK else address)


def test_balance__bond_but_not_the_steps__warning(
    anvil: str, deployment: Deployment, new_account: Callable[..., LocalAccount], web3: Web3
) -> None:
    own_wei = account.ROLES["miner"].gas * chain.gas_price_wei(web3)
    address = new_account(ETHER // 20 + own_wei * 2).address
    says(account.check_balance(account.ROLES["miner"], anvil, deployment, address), WARNING, "anybody may take")


@pytest.mark.parametrize(
    ("steps", "gas"),
    [
        (("commit", "reveal"), account.ROLES["miner"].gas),
        (("stake", "commit vote", "reveal vote"), account.ROLES["verifier"].gas),
        (("submit", "publish keys", "release the test set"), account.ROLES["client"].gas),
        (
            (
                *("open the round", "close commits", "end the reveals, open the ballot"),
                *("close vote commits", "tally the ballot", "finalise the block"),
            ),
            account.STEPS_GAS,
        ),
    ],
)
def test_gas__is_what_was_measured(steps: tuple[str, ...], gas: int) -> None:
    rows = [line.split("|") for line in (DOCS / "benchmarks.md").read_text().splitlines() if line.startswith("| ")]
    measured = {row[2].strip(): row[5].strip() for row in rows if len(row) > 5}
    assert sum(int(measured[step].replace(",", "")) for step in steps) == gas


# --- the command -----------------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in folder.rglob("*")
    }


@pytest.fixture
def run(anvil: str, deployment: Deployment, tmp_path: Path, keyfile: Path) -> Callable[..., Result]:
    """`run(*options)` of a machine on which all is well; later options win."""
    deployment.save(tmp_path / "deployment.json")
    (tmp_path / "password").write_text("pw")
    (tmp_path / "password").chmod(0o600)
    given = {"deployment": "deployment.json", "store": "store", "home": "home", "password-file": "password"}
    options = [f"--{name}={tmp_path / value}" for name, value in given.items()]
    options += [f"--rpc={anvil}", f"--account={keyfile}"]
    return lambda *more: CliRunner().invoke(doctor, [*options, *more])


def test_doctor__node_down_behind_a_key__status_1_and_no_key(run: Callable[..., Result]) -> None:
    result = run(f"--rpc={nobody()}/v3/{KEY}?token={KEY}", f"--store=http://user:{KEY}@127.0.0.1:1/{KEY}")
    assert result.exit_code == 1
    assert "the node is down" in result.output
    assert KEY not in result.output


def test_doctor__no_home_variable_and_hostile_paths__no_traceback(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    nowhere = "~nobody-of-this-name/x"
    for option in (f"--home={nowhere}", f"--store={nowhere}", f"--password-file={nowhere}", "--account=\x1b[31m"):
        result = run(option)
        assert (result.exit_code, isinstance(result.exception, SystemExit)) == (1, True), result.exception
        assert "Error" not in result.stdout
        assert "\x1b" not in result.output


def test_doctor__all_well__status_0_and_nothing_changed(
    run: Callable[..., Result], tmp_path: Path, keyfile: Path, web3: Web3
) -> None:
    with Journal(tmp_path / "home" / "journal-0.sqlite"):
        pass
    before = contents(tmp_path)
    result = run("--json")
    changed = contents(tmp_path)
    del before[str(tmp_path / "deployment.json")], changed[str(tmp_path / "deployment.json")]
    assert result.exit_code == 0, result.output
    found = {entry["name"]: entry for entry in json.loads(result.stdout)}
    assert not [entry for entry in found.values() if entry["verdict"] == "problem"]
    assert {"python", "torch", "kernels", "disk", "store", "node", "requests", "synced", "clock"} <= set(found)
    assert {"gas price", "deployment", "contracts", "key file", "password", "home", "balance"} <= set(found)
    assert changed == before
    assert web3.eth.get_transaction_count(web3.to_checksum_address(address_in(keyfile))) == 0


def test_doctor__role__only_its_balance(run: Callable[..., Result]) -> None:
    lines = [line for line in run("--role=verifier").stdout.splitlines() if "balance" in line]
    assert len(lines) == 1
    assert "verifier: 100 ether" in lines[0]


def test_check__unexpected_error__problem_without_secrets() -> None:
    @check("broken")
    def look() -> Check:
        raise LookupError(f"at https://node.example/v3/{KEY}")

    keep_secret(f"https://node.example/v3/{KEY}")
    says(look(), PROBLEM, "LookupError: at https://node.example", "report this")
    assert KEY not in str(look())


@pytest.mark.parametrize("width", [40, 80])
def test_row__narrow_terminal_without_colour__fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    written = io.StringIO()
    row = problem("/a/very/long/path/that/has/no/space/in/it/at/all/anywhere [bold]is wrong[/]", "chmod 600 file")
    print_row(Console(file=written, width=width, force_terminal=True, highlight=False), row)
    lines = written.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    assert max(map(len, lines)) <= width
    assert "[bold]" in written.getvalue()
    assert "\x1b[3" not in written.getvalue()


def test_import__neither_ape_nor_torch() -> None:
    code = "import sys, pole.node.doctor.command; sys.exit(bool({'ape', 'torch', 'numba', 'ipfshttpclient'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
