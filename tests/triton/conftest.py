"""Triton's interpreter as all these tests need it, whichever of them runs alone."""

from tests.support import interpreter

interpreter.remember()
