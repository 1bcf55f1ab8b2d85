"""Eight 64-bit integers side by side as one numba value: the word that all field arithmetic is written in.

With AVX-512 a value is one register and `multiply_low`/`multiply_high` are one instruction each (IFMA, made for 52-bit
limbs). Elsewhere LLVM splits values into what the processor has, and `portable` computes products lane by lane.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from pole.encryption.simd.cache import kernel_cache

LANES = 8
LIMB_BITS = 52
P = (1 << 256) - (1 << 32) - 977
LIMB_MASK = np.uint64((1 << LIMB_BITS) - 1)

_WORD = ir.IntType(64)
VECTOR = ir.VectorType(_WORD, LANES)


config.CACHE_DIR = str(kernel_cache())


class LanesType(types.Type):
    """The numba type of eight unsigned 64-bit lanes."""

    def __init__(self) -> None:
        super().__init__("Lanes")


lanes = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTOR)


def _splat(builder: ir.IRBuilder, word: Any) -> Any:
    if isinstance(word, ir.Constant):
        return ir.Constant(VECTOR, [word.constant] * LANES)
    start = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), word, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(start, ir.Constant(VECTOR, ir.Undefined), zeros)


def _pointer(builder: ir.IRBuilder, address: Any) -> Any:
    return builder.inttoptr(address, VECTOR.as_pointer())


@intrinsic
def load(typing_context, address):  # type: ignore[no-untyped-def]
    """The eight words at an address."""

    def generate(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.load(_pointer(builder, arguments[0]), align=8)

    return lanes(types.uint64), generate


@intrinsic
def store(typing_context, address, value):  # type: ignore[no-untyped-def]
    """Write eight words to an address."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        builder.store(arguments[1], _pointer(builder, arguments[0]), align=8)
        return context.get_dummy_value()

    return types.void(types.uint64, lanes), generate


@intrinsic
def splat(typing_context, word):  # type: ignore[no-untyped-def]
    """One word in all lanes."""

    def generate(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return _splat(builder, arguments[0])

    return lanes(types.uint64), generate


@intrinsic
def gather(typing_context, base, offsets):  # type: ignore[no-untyped-def]
    """The words at base + offset (bytes) of each lane."""

    def generate(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        addresses = builder.add(_splat(builder, arguments[0]), arguments[1])
        pointers_type = ir.VectorType(_WORD.as_pointer(), LANES)
        pointers = builder.inttoptr(addresses, pointers_type)
        mask = ir.Constant(ir.VectorType(ir.IntType(1), LANES), [1] * LANES)
        kind = ir.FunctionType(VECTOR, [pointers_type, ir.IntType(32), mask.type, VECTOR])
        function = _declare(builder, "llvm.masked.gather.v8i64.v8p0", kind)
        return builder.call(function, [pointers, ir.Constant(ir.IntType(32), 8), mask, ir.Constant(VECTOR, None)])

    return lanes(types.uint64, lanes), generate


@intrinsic
def select_zero(typing_context, condition, if_zero, otherwise):  # type: ignore[no-untyped-def]
    """Lane by lane: `if_zero` where the condition is 0, else `otherwise`."""

    def generate(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        is_zero = builder.icmp_unsigned("==", arguments[0], ir.Constant(VECTOR, None))
        return builder.select(is_zero, arguments[1], arguments[2])

    return lanes(lanes, lanes, lanes), generate


@intrinsic
def shift_right_signed(typing_context, value, count):  # type: ignore[no-untyped-def]
    """Arithmetic shift of lanes that hold signed integers."""

    def generate(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ashr(arguments[0], _splat(builder, arguments[1]))

    return lanes(lanes, types.uint64), generate


@intrinsic
def high_word(typing_context, a, b):  # type: ignore[no-untyped-def]
    """The upper 64 bits of a product of two words (not lanes)."""

    def generate(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), _WORD)

    return types.uint64(types.uint64, types.uint64), generate


def _declare(builder: ir.IRBuilder, name: str, kind: ir.FunctionType) -> Any:
    found = builder.module.globals.get(name)
    return found if found is not None else ir.Function(builder.module, kind, name)


def _product_part(instruction: str) -> Any:
    @intrinsic
    def accumulate(typing_context, total, a, b):  # type: ignore[no-untyped-def]
        def generate(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
            kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
            return builder.call(_declare(builder, instruction, kind), arguments)

        return lanes(lanes, lanes, lanes), generate

    return accumulate


multiply_low = _product_part("llvm.x86.avx512.vpmadd52l.uq.512")  # total + lower 52 bits of a * b, for a, b mod 2^52
multiply_high = _product_part("llvm.x86.avx512.vpmadd52h.uq.512")  # total + (a * b >> 52)


def _define(operation: Callable[..., Any], method: str, second: Any) -> None:
    @infer_global(operation)
    class _Template(AbstractTemplate):
        def generic(self, args, kws):  # type: ignore[no-untyped-def]
            if len(args) == 2 and args[0] is lanes and (args[1] is lanes) == (second is lanes):
                return signature(lanes, lanes, second)
            return None

    @lower_builtin(operation, lanes, second)
    def _lower(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        a, b = arguments
        return getattr(builder, method)(a, b if second is lanes else _splat(builder, b))


for _operation, _method in ((operator.add, "add"), (operator.sub, "sub"), (operator.or_, "or_"), (operator.xor, "xor")):
    _define(_operation, _method, lanes)
for _operation, _method in (
    (operator.and_, "and_"),
    (operator.mul, "mul"),
    (operator.lshift, "shl"),
    (operator.rshift, "lshr"),
):
    _define(_operation, _method, types.uint64)
