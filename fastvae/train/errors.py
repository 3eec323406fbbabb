"""What the command line says, in one line, about a user's mistake."""


class UserError(Exception):
    """A mistake the user can correct: an option, a path, a damaged file, a missing device."""

    exit_code = 2


class InvalidSettingError(UserError):
    """A setting of a wrong type or out of range, `field` named as in `fastvae.train.config.Config`."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class InterruptedRunError(UserError):
    """Ctrl-C during a run that can be resumed."""

    exit_code = 130
