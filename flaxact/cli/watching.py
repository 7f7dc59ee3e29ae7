"""A report server for running comparisons, and a command to run at their end."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from flaxact.errors import InputError

SECONDS = 15  # between reloads of a watched report


@contextlib.contextmanager
def notified(command: str | None, folder: Path) -> Iterator[None]:
    """Run a shell command when the block ends.

    Args:
      command: runs with the environment variables ``FLAXACT_OUTCOME`` (done, stopped or failed) and
        ``FLAXACT_FOLDER``; None for no command.
      folder: folder of the results.
    """
    outcome = "failed"
    try:
        yield
        outcome = "done"
    except (KeyboardInterrupt, SystemExit):
        outcome = "stopped"
        raise
    finally:
        if command:
            told = {"FLAXACT_OUTCOME": outcome, "FLAXACT_FOLDER": str(folder.absolute())}
            code = subprocess.run(
                command, shell=True, env=os.environ | told, check=False
            ).returncode
            if code:
                print(f"the command of --on-finish ended with exit code {code}")


def watch_report(folder: Path, port: int) -> None:
    """Serve a comparison's report on this machine; it is written again when there are new results.

    Raises:
      InputError: the port is taken.
    """
    import http.server  # loads slowly, and only this asks for it

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = page(folder).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Log nothing, because a page that reloads itself would fill the terminal."""

    try:
        server = http.server.HTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise InputError(f"cannot serve on port {port}: {error.strerror}; give another") from None
    with server:
        print(f"http://127.0.0.1:{server.server_address[1]} (Ctrl-C ends it)", flush=True)
        server.serve_forever()


def page(folder: Path) -> str:
    """The report with the comparison's progress, as a page that reloads itself."""
    from html import escape

    from flaxact.studies._records import PATH
    from flaxact.studies.report import write_report
    from flaxact.studies.status import status

    reload = f'<meta http-equiv="refresh" content="{SECONDS}">'
    try:
        lines = escape("\n".join(status(folder)))
        report = folder / "report.html"
        newest = (folder / PATH).stat().st_mtime
        if not report.exists() or report.stat().st_mtime < newest:
            write_report(folder)
        text = report.read_text("utf-8")
    except InputError as error:
        return f"<!doctype html><head>{reload}</head><body><p>{escape(str(error))}</p></body>"
    text = text.replace("<head>", f"<head>\n{reload}", 1)
    return text.replace("<body>", f"<body>\n<pre>{lines}</pre>", 1)
