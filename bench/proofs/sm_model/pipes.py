"""Which pipe of a multiprocessor runs an instruction, and what kind of work it is.

Pipes are those of Nsight Compute's documentation ("Kernel profiling guide", pipelines). An opcode that is not in the
table raises, so that nothing new goes uncounted.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from bench.proofs.sm_model.sass import Instruction


class Pipe(Enum):
    """Where a scheduler sends an instruction."""

    FMA = "either half of the float32 pipe"
    FMA_HEAVY = "the half of the float32 pipe that multiplies integers and computes in half precision"
    ALU = "integer and logic, comparison, minimum and selection of floats"
    XU = "special functions and conversions"
    FP64 = "float64"
    LSU = "memory, shuffles and special registers"
    UNIFORM = "values that all threads of a warp share"
    CONTROL = "branches and barriers"


class Kind(Enum):
    """What an instruction is counted as."""

    FP32 = "float32 and narrower: arithmetic, comparison, selection, packing"
    INTEGER = "integers, addresses, predicates and moves"
    SPECIAL = "special functions, and conversions that take their unit"
    MEMORY = "loads, stores and shuffles, of constants and shared memory, too"
    CONTROL = "branches and barriers"
    FP64 = "float64"


class Class(NamedTuple):
    """The pipe and the kind of an instruction."""

    pipe: Pipe
    kind: Kind


def _table(rows: Iterable[tuple[Pipe, Kind, str]]) -> dict[str, Class]:
    return {name: Class(pipe, kind) for pipe, kind, names in rows for name in names.split()}


_CLASSES: Final = _table(
    (
        (Pipe.FMA, Kind.FP32, "FADD FMUL FFMA"),
        (Pipe.FMA_HEAVY, Kind.FP32, "HADD2 HMUL2 HFMA2"),
        (Pipe.FMA_HEAVY, Kind.INTEGER, "IMAD"),
        (Pipe.ALU, Kind.FP32, "FCHK FMNMX FSEL FSET FSETP F2FP HMNMX2 HSET2 HSETP2"),
        (
            Pipe.ALU,
            Kind.INTEGER,
            "BMSK CS2R I2FP IABS IADD3 ICMP IMNMX ISETP LEA LOP3 MOV P2R PLOP3 PRMT R2P SEL SGXT SHF SHL SHR VABSDIFF "
            "VIADD VIADDMNMX VIMNMX VIMNMX3",
        ),
        (Pipe.XU, Kind.SPECIAL, "F2F F2I FRND I2F MUFU"),
        (Pipe.XU, Kind.INTEGER, "BREV FLO POPC REDUX"),
        (Pipe.FP64, Kind.FP64, "DADD DFMA DMNMX DMUL DSETP"),
        (
            Pipe.LSU,
            Kind.MEMORY,
            "ATOM ATOMG ATOMS LD LDC LDG LDL LDS LDSM MATCH RED SHFL ST STG STL STS STSM",
        ),
        (Pipe.LSU, Kind.INTEGER, "S2R R2UR S2UR"),
        (Pipe.UNIFORM, Kind.MEMORY, "ULDC"),
        (
            Pipe.UNIFORM,
            Kind.INTEGER,
            "UBMSK UFLO UIADD3 UIMAD UISETP ULEA ULOP3 UMOV UP2UR UPLOP3 UPOPC UPRMT USEL USGXT USHF VOTEU",
        ),
        (Pipe.ALU, Kind.CONTROL, "VOTE"),
        (
            Pipe.CONTROL,
            Kind.CONTROL,
            "ACQBULK BAR BMOV BRA BREAK BRX BSSY BSYNC CALL CCTL CGAERRBAR DEPBAR ERRBAR EXIT MEMBAR NANOSLEEP NOP "
            "RET WARPSYNC YIELD",
        ),
    )
)  # fmt: skip
# A constant that the assembler writes into a register with whatever pipe is free.
_MOVES: Final = ("-RZ, RZ,",)


def classify(instruction: Instruction) -> Class:
    """The pipe and the kind.

    Raises:
        ValueError: an opcode that the table does not have.
    """
    found = _CLASSES.get(instruction.name)
    if found is None:
        raise ValueError(
            f"opcode: got {instruction.opcode}; takes one of bench/proofs/sm_model/pipes.py: add it, with its pipe"
        )
    if found.pipe is Pipe.FMA_HEAVY and any(move in instruction.operands for move in _MOVES):
        return found._replace(kind=Kind.INTEGER)
    return found
