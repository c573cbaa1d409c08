"""What the chapters share: data, device, images, run folders, callbacks and flags."""


class UserError(Exception):
    """A mistake of the user's. `cli.run` prints it as one line and exits with code 2."""
