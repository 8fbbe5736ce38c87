"""The compiled part of shift convolutions: rows of 16-bit numbers added in registers, one shift for all of a run.

Written as vectors of LLVM's own: left to itself it guards the loop against overlapping arrays, and where the guard
fails, which depends on addresses, adds one number at a time.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["TILE", "add_shifted"]

TILE = 64
"""Places that are summed at a time."""
_VECTOR_BYTES = 64

Array = NDArray[Any]


@intrinsic
def _add_run(
    context: Any, rows: Any, offsets: Any, terms: Any, first: Any, last: Any, q: Any, shift: Any, minus: Any, sums: Any, at: Any
) -> Any:  # fmt: skip
    """sums[at : at + TILE] +- (sum of rows[offset + q :][:TILE] over terms first to last) << shift, flat arrays."""
    given = (rows, offsets, terms, first, last, q, shift, minus, sums, at)

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = {
            place: cgutils.create_struct_proxy(signature.args[place])(
                target, builder, value=arguments[place]
            ).data
            for place in (0, 1, 2, 8)
        }
        bits = rows.dtype.bitwidth
        lanes = 8 * _VECTOR_BYTES // bits
        narrow, wide = ir.VectorType(ir.IntType(bits), lanes), ir.VectorType(ir.IntType(32), lanes)
        totals = [cgutils.alloca_once_value(builder, ir.Constant(narrow, None)) for _ in range(TILE // lanes)]
        with cgutils.for_range_slice(
            builder, arguments[3], arguments[4], ir.Constant(arguments[3].type, 1)
        ) as (t, _):
            term = builder.load(builder.gep(arrays[2], [t]))
            offset = builder.load(builder.gep(arrays[1], [builder.sext(term, ir.IntType(64))]))
            start = builder.add(offset, arguments[5])
            for v, total in enumerate(totals):
                row = _vector(
                    builder, arrays[0], builder.add(start, ir.Constant(start.type, v * lanes)), narrow
                )
                found = builder.load(row, align=bits // 8)
                builder.store(builder.add(builder.load(total), found), total)
        shifts = _spread(builder, builder.trunc(arguments[6], ir.IntType(32)), wide)
        for v, total in enumerate(totals):
            partial = builder.load(total)
            shifted = builder.shl(partial if bits == 32 else builder.sext(partial, wide), shifts)
            signed = builder.select(arguments[7], builder.neg(shifted), shifted)
            out = _vector(
                builder, arrays[8], builder.add(arguments[9], ir.Constant(start.type, v * lanes)), wide
            )
            builder.store(builder.add(builder.load(out, align=4), signed), out, align=4)
        return target.get_dummy_value()

    return types.void(*given), generate


def _vector(builder: Any, data: Any, index: Any, kind: Any) -> Any:
    """A pointer to the vector that begins at a number of an array."""
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def _spread(builder: Any, value: Any, kind: Any) -> Any:
    """A vector with this value in every lane."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        one, ir.Constant(kind, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), kind.count), None)
    )


@njit(cache=True)
def add_shifted(
    rows: Array, offsets: Array, terms: Array, runs: Array, first_run: Array, sums: Array, places: int
) -> None:
    """sums (O * places,) int32 += sign * (sum over a run of the rows at its terms' offsets) << shift, tile by tile.

    `runs` (R, 4) are first term, end, shift and sign; those of output o are first_run[o] to first_run[o + 1].
    `places` is a multiple of TILE, and TILE numbers follow each offset.
    """
    for q in range(0, places, TILE):
        for o in range(len(first_run) - 1):
            for r in range(first_run[o], first_run[o + 1]):
                _add_run(
                    rows,
                    offsets,
                    terms,
                    runs[r, 0],
                    runs[r, 1],
                    q,
                    runs[r, 2],
                    runs[r, 3] < 0,
                    sums,
                    o * places + q,
                )
