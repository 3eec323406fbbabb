"""Checks that take longer than a test: ``python -m tools.checks.NAME``; docs/checks.md has the last result of each."""
