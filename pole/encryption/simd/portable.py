"""Products modulo p for processors without IFMA: lane after lane, with the 128-bit products that all of them have."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from pole.encryption.simd.lanes import LANES, LIMB_BITS, VECTOR, P, lanes

_WORD, _WIDE = ir.IntType(64), ir.IntType(128)
_LIMBS = 5
_ELEMENT = types.UniTuple(lanes, _LIMBS)
_ARRAY = ir.ArrayType(_WORD, _LIMBS * LANES)
_NAME = "pole_multiply_lane_by_lane"


@intrinsic
def multiply_lane_by_lane(typing_context, a, b):  # type: ignore[no-untyped-def]
    """a * b: loose elements to a tight one."""

    def generate(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        element = ir.ArrayType(VECTOR, _LIMBS)
        places = []
        with builder.goto_entry_block():
            places = [builder.alloca(element) for _ in range(3)]
        for place, argument in zip(places[1:], arguments, strict=True):
            builder.store(argument, place)
        builder.call(_function(builder.module), [builder.bitcast(place, _ARRAY.as_pointer()) for place in places])
        return builder.load(places[0])

    return _ELEMENT(_ELEMENT, _ELEMENT), generate


def _function(module: ir.Module) -> Any:
    """One function per module, called and not copied: inlined everywhere it would take minutes to compile."""
    found = module.globals.get(_NAME)
    if found is not None:
        return found
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_ARRAY.as_pointer()] * 3), _NAME)
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    entry, loop, end = (function.append_basic_block(name) for name in ("entry", "loop", "end"))
    ir.IRBuilder(entry).branch(loop)
    builder = ir.IRBuilder(loop)
    lane = builder.phi(ir.IntType(32))
    lane.add_incoming(ir.Constant(ir.IntType(32), 0), entry)
    target, a, b = function.args
    _multiply_one(builder, lane, target, a, b)
    following = builder.add(lane, ir.Constant(ir.IntType(32), 1))
    lane.add_incoming(following, loop)
    builder.cbranch(builder.icmp_unsigned("<", following, ir.Constant(ir.IntType(32), LANES)), loop, end)
    ir.IRBuilder(end).ret_void()
    return function


def _multiply_one(builder: ir.IRBuilder, lane: Any, target: Any, a: Any, b: Any) -> None:
    """The columns of the product, folded at 2^260 and at 2^256 as in `field`; a column and its carry fit 128 bits."""
    left, right = ([_load(builder, lane, place, i) for i in range(_LIMBS)] for place in (a, b))
    columns: list[Any] = [_wide(0)] * (2 * _LIMBS)
    for i, x in enumerate(left):
        for j, y in enumerate(right):
            columns[i + j] = builder.add(columns[i + j], builder.mul(x, y))
    _carry(builder, columns, 0, 2 * _LIMBS)
    for i in range(_LIMBS):
        columns[i] = builder.add(columns[i], builder.mul(columns[_LIMBS + i], _wide((1 << 260) % P)))
    _carry(builder, columns, 0, _LIMBS)
    over = builder.lshr(columns[4], _wide(48))
    columns[0] = builder.add(columns[0], builder.mul(over, _wide((1 << 256) % P)))
    columns[4] = builder.and_(columns[4], _wide((1 << 48) - 1))
    _carry(builder, columns, 0, _LIMBS)
    for i in range(_LIMBS):
        builder.store(builder.trunc(columns[i], _WORD), _place(builder, lane, target, i))


def _carry(builder: ir.IRBuilder, columns: list[Any], start: int, end: int) -> None:
    """Cut the columns start..end-1 to a limb each; the last one keeps what is above."""
    for i in range(start, end - 1):
        columns[i + 1] = builder.add(columns[i + 1], builder.lshr(columns[i], _wide(LIMB_BITS)))
        columns[i] = builder.and_(columns[i], _wide((1 << LIMB_BITS) - 1))


def _wide(value: int) -> ir.Constant:
    return ir.Constant(_WIDE, value)


def _place(builder: ir.IRBuilder, lane: Any, array: Any, limb: int) -> Any:
    index = builder.add(lane, ir.Constant(ir.IntType(32), limb * LANES))
    return builder.gep(array, [ir.Constant(ir.IntType(32), 0), index])


def _load(builder: ir.IRBuilder, lane: Any, array: Any, limb: int) -> Any:
    return builder.zext(builder.load(_place(builder, lane, array, limb)), _WIDE)
