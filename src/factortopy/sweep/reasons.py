"""Why something failed, in one line."""

import errno

from factortopy.errors import FactortopyError, first_line


def reason_of(error: BaseException) -> str:
    """Why something failed, in one line; a fault of the program says its kind."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.filename or 'the disk'}: no space left; make room and start the sweep again"
    if isinstance(error, FactortopyError):
        return " ".join(str(error).split())
    return f"{type(error).__name__}: {first_line(error)}"
