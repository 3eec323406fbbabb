"""``python -m fastvae``: the same as the ``fastvae`` command."""

from fastvae.train.cli import main

if __name__ == "__main__":
    main()
