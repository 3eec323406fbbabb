"""Checks that take longer than a test: ``python -m tools.checks.NAME``. Each leaves its last result in docs/checks.md."""
