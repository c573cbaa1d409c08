"""What the chapters share; CONTRIBUTING.md says what is in which module."""


class UserError(Exception):
    """A mistake of the user's. `cli.run` prints it as one line and exits with its code."""

    code = 2
