"""`python -m pole.encryption`: compile the fast backend's kernels, once per machine, and show that they work."""

import time

import numpy as np

from pole.encryption.keys import MasterKey
from pole.encryption.points import compress_points
from pole.encryption.simd.cache import has_ifma, kernel_cache


def main() -> None:
    started = time.perf_counter()
    # Imported here so that the time of importing numba is part of what is shown.
    from pole.encryption.simd.backend import NumbaBackend

    fast, master = NumbaBackend(), MasterKey((3, 5))
    ciphertexts = fast.encrypt(master, np.array([[1, 2]], dtype=np.uint8))
    assert np.array_equal(fast.decompress(compress_points(ciphertexts)), ciphertexts)
    assert fast.decrypt(ciphertexts, np.array([[1, 1]]), [[8]], 10).tolist() == [[3]]
    seconds, products = time.perf_counter() - started, "AVX-512 IFMA" if has_ifma() else "portable"
    print(f"Encryption kernels ({products}) ready after {seconds:.1f} s, kept in {kernel_cache()}")


if __name__ == "__main__":
    main()
