"""The commands that show how far a comparison is, and what is run at its end."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import tyro

from flaxact.errors import InputError

SECONDS = 15  # between reloads of a watched report


def show_status(folder: tyro.conf.Positional[Path]) -> None:
    """Say how far a comparison is: runs done, what trains now, and which process works there.

    Args:
      folder: Where flaxact compare writes.
    """
    from flaxact.studies.several import comparisons
    from flaxact.studies.status import status

    for comparison in comparisons(folder):
        print("\n".join(status(comparison)))


def show_ranks(
    folders: tyro.conf.Positional[tuple[Path, ...]],
    *,
    reference: str | None = None,
    out: Path = Path("flaxact-ranks"),
) -> None:
    """Rank activations over several comparisons: Friedman's test and a critical-difference diagram.

    Args:
      folders: Where flaxact compare has written. One that holds several comparisons counts as all of
        them.
      reference: The activation whose wins and losses are counted; the first if not given.
      out: Folder of the page.
    """
    rank(folders, reference, out)


def rank(folders: Sequence[Path], reference: str | None, out: Path) -> None:
    """Print the ranks of activations over comparisons, and write their page."""
    from flaxact.progress import print_table
    from flaxact.studies import tasks

    result = tasks.ranking(tasks.read_tasks(folders), reference)
    path = tasks.write_ranking(result, out)
    print("\n".join(tasks.sentences(result)))
    print_table(*tasks.table(result))
    print(f"The ranks: {path}")


@contextlib.contextmanager
def notified(command: str | None, folder: Path) -> Iterator[None]:
    """Run a shell command when the block ends.

    Args:
      command: gets ``FLAXACT_OUTCOME``, which is done, stopped or failed, and ``FLAXACT_FOLDER``; None
        for nothing.
      folder: of the results.
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
    """Serve a comparison's report on this machine; it is made again when there are new results.

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
            """Nothing: a page that reloads by itself would fill the terminal."""

    try:
        server = http.server.HTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise InputError(f"cannot serve on port {port}: {error.strerror}; give another") from None
    with server:
        print(f"http://127.0.0.1:{server.server_address[1]} (Ctrl-C ends it)", flush=True)
        server.serve_forever()


def page(folder: Path) -> str:
    """The report with how far the comparison is, as a page that reloads itself."""
    from html import escape

    from flaxact.studies.report import write_report
    from flaxact.studies.status import status

    reload = f'<meta http-equiv="refresh" content="{SECONDS}">'
    try:
        lines = escape("\n".join(status(folder)))
        report = folder / "report.html"
        newest = (folder / "results.json").stat().st_mtime
        if not report.exists() or report.stat().st_mtime < newest:
            write_report(folder)
        text = report.read_text("utf-8")
    except InputError as error:
        return f"<!doctype html><head>{reload}</head><body><p>{escape(str(error))}</p></body>"
    text = text.replace("<head>", f"<head>\n{reload}", 1)
    return text.replace("<body>", f"<body>\n<pre>{lines}</pre>", 1)
