r"""Serve a library: a page to hear what mixes with what, and an API.

  python -m mashjax.serve --library=mashjax.library --music=FOLDER
  python -m mashjax.serve --library=... --music=FOLDER --host=0.0.0.0 --token_file=TOKEN

The page is at http://127.0.0.1:8000, the API's description at /docs. Songs that visitors bring and
mashups that they make are kept until the service ends.
"""

import contextlib
import os
import pathlib
import secrets
import socket
from collections.abc import Sequence

from absl import flags

from mashjax import cli
from mashjax.errors import UserError


def _main(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"takes no arguments but flags, got {arguments[0]!r}; see --help")
    f = flags.FLAGS
    music = pathlib.Path(f.music)
    if not music.is_dir():
        raise UserError(f"--music={music}: no such folder; name the one that was indexed")
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError(f"serving needs {error.name}: pip install 'mashjax[serve]'") from error
    from mashjax.library.database import open_library
    from mashjax.library.finding import need_songs
    from mashjax.service.settings import Settings, is_loopback

    local = is_loopback(f.host)
    token = _token(f.token_file, needed=not local)
    settings = Settings(music=music, host=f.host, token=token, names=tuple(f.names))
    with (
        contextlib.closing(open_library(f.library)) as library,
        _listening(f.host, f.port) as listener,
    ):
        need_songs(library)
        from mashjax.service.app import create_app
        from mashjax.service.server import make_server

        host = f"[{f.host}]" if ":" in f.host else f.host
        address = f"http://{host}:{listener.getsockname()[1]}"
        # What follows a # is not sent: the page reads it, and sends it as a header.
        print(f"{address}/#token={token}" if token and not f.token_file else address, flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # how one ends it
            server = make_server(create_app(settings, library), limits=settings.limits)
            server.run(sockets=[listener])


def _token(file: str | None, *, needed: bool) -> str:
    """The one in the file; a new one where one is needed; else none."""
    if not file:
        return secrets.token_urlsafe(24) if needed else ""
    try:
        token = pathlib.Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--token_file={file}: cannot be read as a line of ASCII text") from error
    if len(token) < 16 or not token.isprintable() or " " in token:
        raise UserError(f"--token_file={file}: needs 16 characters at least, and no spaces")
    return token


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise UserError(f"--host={host} --port={port}: cannot be listened on: {why}") from error


def _define_flags() -> None:
    flags.DEFINE_string("library", "mashjax.library", "The library: a file, or a database's URL.")
    flags.DEFINE_string("music", None, "The folder whose songs are in the library.", required=True)
    flags.DEFINE_string("host", "127.0.0.1", "The address to listen on; the default: only here.")
    flags.DEFINE_integer("port", 8000, "0: any that is free.", lower_bound=0, upper_bound=65535)
    flags.DEFINE_string(
        "token_file", None, "Holds the token that changes need; default: none here, a new one else."
    )
    flags.DEFINE_list("names", [], "Host names, beside addresses, under which browsers reach it.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
