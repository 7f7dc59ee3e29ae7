"""The ``flaxact`` command: arguments to a function call, no logic.

Importing it loads nothing else, so that an interrupt is handled from the first moment on.
"""

import errno
import io
import os
import sys

from flaxact import interrupts

# Of a file system: full, read-only, not allowed, not as a path says, out of order.
OUTSIDE = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR,
    errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.EMFILE, errno.ENFILE,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 after a one-line message on wrong input."""
    from flaxact import _packages
    from flaxact.cli.arguments import parse
    from flaxact.errors import InputError, one_line

    try:
        with _packages.explained():
            parse(sys.argv[1:] if arguments is None else arguments)()
    except InputError as error:
        return _failed(str(error))
    except (RuntimeError, AssertionError):
        from flaxact.doctor import no_devices

        if problem := no_devices():
            return _failed(f"{problem.found}: {problem.advice}")
        raise
    except KeyboardInterrupt:
        print(interrupts.STOPPED, file=sys.stderr)
        return interrupts.CODE
    except BrokenPipeError:  # flaxact list | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in OUTSIDE:
            raise
        at = f": {error.filename}" if error.filename else ""
        return _failed(one_line(f"{error.strerror}{at}"))
    return 0


def _failed(message: str) -> int:
    print(f"flaxact: {message}", file=sys.stderr)
    return 2


def run() -> None:
    """Run the command in ``sys.argv`` and exit."""
    interrupts.begin()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what its encoding does not have becomes "?"
    sys.exit(main())
