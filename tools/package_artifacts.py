"""Writes the compiled contracts into the package: `python -m tools.package_artifacts`, after a change of contracts/."""

from pole.chain.artifacts import FOLDER, Artifact
from pole.chain.deployment import CONTRACT_NAMES
from testbed.artifacts import compiled


def main() -> None:
    made = compiled()
    FOLDER.mkdir(exist_ok=True)
    for name in CONTRACT_NAMES:
        artifact = Artifact(made[name]["abi"], made[name]["bytecode"])
        (FOLDER / f"{name}.json").write_bytes(artifact.to_bytes())
        print(f"{artifact.digest}  {name}")


if __name__ == "__main__":
    main()
