"""What ptxas may do to a product and the sum it goes into, unless one of them says how it is rounded: one fma."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.simt.program import Instruction


def contracted(block: Sequence[Instruction]) -> Iterator[Instruction]:
    """A basic block in which every sum that may be is fused with a product that it takes.

    The product stays, for others that take it. Of what is subtracted, the operand is written with a sign before it.
    """
    products: dict[str, Instruction] = {}
    for instruction in block:
        yield from _fused(instruction, products)
        written = {name.strip("{} ") for name in instruction.operands[0].split(",")} if instruction.operands else set()
        products = {
            name: product
            for name, product in products.items()
            if name not in written and not written & {*product.operands[1:]}
        }
        if _may_be_contracted(instruction, "mul") and instruction.operands[0] not in instruction.operands[1:]:
            products[instruction.operands[0]] = instruction


def _may_be_contracted(instruction: Instruction, *names: str) -> bool:
    opcode = instruction.opcode
    return opcode[0] in names and opcode[1:] in (("f32",), ("f64",)) and instruction.guard is None


def _fused(instruction: Instruction, products: dict[str, Instruction]) -> Iterator[Instruction]:
    opcode, operands = instruction.opcode, instruction.operands
    place = next((place for place in (1, 2) if operands[place:] and operands[place] in products), None)
    if place is None or not _may_be_contracted(instruction, "add", "sub"):
        yield instruction
        return
    product, term = products[operands[place]], operands[3 - place]
    if product.opcode[1:] != opcode[1:]:
        yield instruction
        return
    target, a, b = operands[0], *product.operands[1:]
    if opcode[0] == "sub":
        a, term = (a, f"-{term}") if place == 1 else (f"-{a}", term)
    yield instruction._replace(opcode=("fma", "rn", opcode[-1]), operands=(target, a, b, term))
