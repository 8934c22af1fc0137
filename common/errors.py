"""Errors that a user can mend: one line on stderr, exit status 2, no traceback."""

import os
import sys
from collections.abc import Callable


class UserError(Exception):
    """Bad input: the message says what is wrong, what was found, what was expected and what to do.

    A loader's worker process hands its error on as a text with a traceback in front; only the message is kept.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rsplit("common.errors.UserError: ", 1)[-1].strip())


def run_main(main: Callable[[], None]) -> None:
    """Call a script's main; a UserError becomes `error: ...` on stderr and exit status 2.

    Under torchrun every process fails alike, so only rank 0 speaks.
    """
    try:
        main()
    except UserError as error:
        if os.environ.get("RANK", "0") == "0":
            print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
