"""What the command line says, in one line, about a user's mistake."""


class UserError(Exception):
    """A mistake the user can correct: an option, a path, a damaged file, a missing device."""
