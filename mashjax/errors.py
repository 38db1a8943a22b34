"""The one exception for mistakes that are the user's."""


class UserError(Exception):
    """A mistake of the user's: the message says what is wrong, where, and what to do.

    Commands print it as one line and exit with 2; every other exception is a
    fault of the program and keeps its traceback.
    """
