"""`make gpu-kit`: packs what a machine with a GPU and without network needs to run `python -m benchmarks.gpu`.

The machine has the same version of Python, and torch, numba, numpy and safetensors. Everything else is in the folder.
"""

import argparse
import importlib.util
import shutil
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import numpy as np

from benchmarks.gpu.pictures import Pictures
from dataclient.sources.packed import load_cifar10, load_mnist

ROOT = Path(__file__).parents[1]
LIMIT_BYTES = 60 << 20
SOURCES = (
    *("pole", "benchmarks/gpu", "benchmarks/gradient", "benchmarks/__init__.py"),
    *("testbed/__init__.py", "testbed/markdown.py"),
)
PACKAGES = (
    *("annotated_types", "coincurve", "cytoolz", "eth_hash", "eth_typing", "eth_utils", "pydantic", "pydantic_core"),
    *("dotenv", "PIL", "pydantic_settings", "toolz", "torchvision", "typing_extensions", "typing_inspection"),
)
# Sources, compiled parts of torchvision, and Pillow's formats that nothing here opens.
_LEFT_OUT = shutil.ignore_patterns(
    *("__pycache__", "*.pyc", "*.c", "*.pyx", "*.pxd", "tests", "image.so", "_C.so"),
    *("*avif*", "_imagingft*", "libfreetype*", "libharfbuzz*", "_webp*", "libwebp*"),
)
_MAKEFILE = """# Everything that needs a GPU; see docs/gpu.md. GPU_ARGS=--toy: at toy size, also on a CPU.
gpu:
\tpython3 -m benchmarks.gpu --data data --page docs/gpu.md $(GPU_ARGS)
"""
ROWS = {"mnist": (20_000, 5_000), "cifar10": (4_000, 1_200)}


def pack(folder: Path, data: Path | None) -> int:
    """Returns the folder's size in bytes; without `data`, only toy runs are possible there."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in SOURCES:
        _copy(ROOT / name, folder / name)
    names = packages_distributions()
    for package in PACKAGES:
        _copy(_place_of(package), folder / "packages" / _place_of(package).name)
        libraries = _place_of(package).parent / f"{names[package][0]}.libs"
        if libraries.is_dir():
            _copy(libraries, folder / "packages" / libraries.name)
        for name in names[package]:  # some ask for their own version
            described = Path(str(distribution(name).locate_file(""))).glob(f"{name.replace('-', '_')}-*.dist-info")
            for found in described:
                _copy(found / "METADATA", folder / "packages" / found.name / "METADATA")
    (folder / "docs").mkdir()
    (folder / "Makefile").write_text(_MAKEFILE)
    (folder / "data").mkdir()
    if data is not None:
        for name in ROWS:
            _pictures(data, name).save(folder / "data" / f"{name}.npz")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _pictures(data: Path, name: str) -> Pictures:
    """The first rows of each part."""
    loaded = load_cifar10(data) if name == "cifar10" else load_mnist(data)
    assert loaded.is_test is not None
    x, y, rows, test_rows = loaded.x.astype(np.uint8), loaded.labels.astype(np.int64), *ROWS[name]
    training, test = np.flatnonzero(~loaded.is_test)[:rows], np.flatnonzero(loaded.is_test)[:test_rows]
    return Pictures(x[training], y[training], x[test], y[test])


def _place_of(name: str) -> Path:
    found = importlib.util.find_spec(name)
    assert found is not None
    assert found.origin is not None
    origin = Path(found.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=_LEFT_OUT)
    else:
        shutil.copyfile(source, target)


def main() -> int:
    """1 if the folder is too large to be carried."""
    parser = argparse.ArgumentParser(prog="tools.gpu_kit", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "gpu-kit", help="what to write, replacing what is there")
    parser.add_argument(
        "--data-dir", type=Path, help="folder of MNIST's and CIFAR-10's files  [default: toy runs only]"
    )
    options = parser.parse_args()
    size_bytes = pack(options.folder, options.data_dir)
    print(f"{options.folder}: {size_bytes / (1 << 20):.1f} MiB")
    if size_bytes > LIMIT_BYTES:
        print(f"error: more than {LIMIT_BYTES >> 20} MiB; take fewer rows (ROWS)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
