"""The one kind of error that a user is meant to read."""


class UserError(Exception):
    """Something that the user can put right: the message says what is wrong and what to do.

    The command line prints it as one line and ends with status 2.
    """
