"""The library's database: a file (SQLite), or a PostgreSQL server's, opened, migrated and locked.

    with contextlib.closing(open_library("mashjax.library")) as library:
        with library.reading() as connection:
            connection.execute(sa.select(SONGS.c.path))

What the file system or the server refuses becomes one line for the user.
"""

import contextlib
import fcntl
import os
import pathlib
import socket
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterator

from mashjax.audio.files import check_folder
from mashjax.errors import UserError

try:
    import alembic.command
    import alembic.config
    import alembic.script
    import sqlalchemy as sa
except ImportError as error:
    raise UserError(f"a library needs {error.name}: pip install 'mashjax[match]'") from error

VERSION_TABLE = "library_version"  # Alembic's own name may be another program's
PATIENCE = 30  # seconds that a writer waits for another
CONNECT_TIMEOUT = 10  # seconds

_MIGRATIONS = pathlib.Path(__file__).parent / "migrations"
_NEED = "make one with: python -m mashjax.match index FOLDER"
_SAID = {  # by SQLite; what it means to who uses it
    "unable to open database": "cannot be opened; was it moved or removed?",
    "no such table": "has lost its tables; was it replaced?",
    "readonly database": "is read-only; change its permissions, or choose another --library",
    "not a database": f"is not a library; choose another --library, or {_NEED}",
    "database is locked": f"is held by another program, for more than {PATIENCE} s",
}
_REFUSALS = ("42501", "25006", "57P01")  # PostgreSQL: no privilege, read-only, shut down


class Library:
    """An open library. `name`: how messages call it; `path`: of the file, None for a server."""

    def __init__(self, engine: sa.Engine, *, name: str, path: pathlib.Path | None):
        self.engine, self.name, self.path = engine, name, path

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that reads."""
        with self._told(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes: all of it is kept, or nothing."""
        with self._told(), self.engine.connect() as connection:
            # A reader that becomes a writer would not wait for another one, but fail.
            connection = connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def holding(self) -> Iterator[Callable[[], contextlib.AbstractContextManager[sa.Connection]]]:
        """Be the only one to index; gives the `writing` to use. Ends with the process.

        Raises:
          UserError: says which process holds it.
        """
        hold = _file_held(self.path) if self.path else self._server_held()
        with hold as writing:
            yield writing or self.writing

    def close(self) -> None:
        self.engine.dispose()

    @contextlib.contextmanager
    def _server_held(self) -> Iterator[Callable]:
        """The lock belongs to a session, so this very session writes: lost together, if at all."""
        key = "hashtext('mashjax library'), hashtext(current_schema())"
        with self._told(), self.engine.connect() as connection:
            connection.detach()  # ends with this block instead of being used again
            if not connection.scalar(sa.text(f"SELECT pg_try_advisory_lock({key})")):
                who = connection.scalar(
                    sa.text(
                        "SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid) "
                        "WHERE locktype = 'advisory' AND granted "
                        "AND database = (SELECT oid FROM pg_database "
                        "WHERE datname = current_database()) "
                        "AND (classid::bigint, objid::bigint) = "
                        "(hashtext('mashjax library')::bigint & 4294967295, "
                        "hashtext(current_schema())::bigint & 4294967295)"
                    )
                )
                raise _held(self.name, who)
            connection.commit()

            @contextlib.contextmanager
            def writing() -> Iterator[sa.Connection]:
                with self._told(), connection.begin():
                    yield connection

            yield writing
            if not connection.invalidated:  # a session that ends lets go a moment later
                with connection.begin():
                    connection.execute(sa.text(f"SELECT pg_advisory_unlock({key})"))

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """One line for what is not the program's fault."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            said = str(error.orig).strip().split("\n")[0]
            ours = isinstance(error, sa.exc.OperationalError) or type(error) is sa.exc.DatabaseError
            if not ours and getattr(error.orig, "sqlstate", None) not in _REFUSALS:
                raise
            for part, meaning in _SAID.items():
                if self.path and part in said:
                    raise UserError(f"{self.name}: {meaning}") from error
            raise UserError(f"{self.name}: {said}") from error


def open_library(
    where: str | os.PathLike,
    *,
    create: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Library:
    """Open a library, migrated to what this mashjax knows.

    Args:
      where: a file, or an address: postgresql://user@host/database.
      create: make it if it is not there.
      say: is told, in a line, that an older library is migrated.

    Raises:
      UserError: it is not there, not a library, of a newer mashjax, or cannot be read.
    """
    where = os.fspath(where)
    library = _on_server(where) if "://" in where else _in_file(pathlib.Path(where), create)
    try:
        _migrate(library, create=create, say=say)
    except BaseException:
        library.close()
        raise
    return library


def _in_file(path: pathlib.Path, create: bool) -> Library:
    if path.is_dir():
        raise UserError(f"{path}: is a folder; --library= names a file")
    if not path.exists():
        if not create:
            raise UserError(f"{path}: there is no library yet; {_NEED} --library={path}")
        check_folder(path)

    def connect() -> sqlite3.Connection:
        # Anew for each transaction, and never made by it: a file that has vanished is noticed.
        place = urllib.parse.quote(os.fsencode(path.absolute()))
        connection = sqlite3.connect(f"file:{place}?mode=rw", uri=True, timeout=PATIENCE)
        connection.isolation_level = None  # sqlite3 itself would leave DDL out of transactions
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        how = connection.get_execution_options().get("sqlite_begin", "BEGIN")
        connection.exec_driver_sql(how)

    return Library(engine, name=str(path), path=path)


def _on_server(where: str) -> Library:
    try:
        url = sa.make_url(where)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise UserError("--library: not an address; say postgresql://user@host/database") from error
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise UserError(
            f"--library: {url.drivername}:// is not supported; name a file, or an address like "
            "postgresql://user@host/database"
        )
    try:
        engine = sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_TIMEOUT, "application_name": _me()},
        )
    except ImportError as error:
        raise UserError(
            "a library on PostgreSQL needs psycopg: pip install 'mashjax[postgresql]'"
        ) from error
    name = url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
    return Library(engine, name=name, path=None)


def _migrate(library: Library, *, create: bool, say: Callable[[str], None]) -> None:
    config = alembic.config.Config(attributes={"version_table": VERSION_TABLE})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    script = alembic.script.ScriptDirectory.from_config(config)
    head, known = script.get_current_head(), {s.revision for s in script.walk_revisions()}
    if library.path is None or library.path.exists():
        found = _version(library)
        if found == head:
            return
        if found and found not in known:
            raise UserError(
                f"{library.name}: was made by a newer mashjax (library version {found}, this one "
                f"knows {head}); install that one, or choose another --library"
            )
        if not found and not create:
            raise UserError(f"{library.name}: there is no library in it yet; {_NEED}")
    with library.holding() as writing:
        if library.path:
            library.path.touch()
        found = _version(library)  # it may have been made or migrated while we waited
        if found and found != head:
            say(f"{library.name}: is migrated from library version {found} to {head}")
        with writing() as connection:
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")


def _version(library: Library) -> str | None:
    """The version of a library, None where there are no tables at all."""
    with library.reading() as connection:
        tables = sa.inspect(connection).get_table_names()
        if VERSION_TABLE in tables:
            return connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))
    if tables:
        raise UserError(
            f"{library.name}: is another program's database (it has a table {tables[0]!r}); "
            "a library needs one of its own: choose another --library"
        )
    return None


@contextlib.contextmanager
def _file_held(path: pathlib.Path) -> Iterator[None]:
    """A lock beside the file: locks on the file itself are SQLite's."""
    place = path.with_name(f"{path.name}.lock")
    while True:
        try:
            handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UserError(f"{place}: cannot be written: {error.strerror}") from error
        with os.fdopen(handle, "r+", encoding="utf-8", errors="replace") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _held(str(path), lock.read()) from error
            if not place.exists() or not os.path.samestat(os.fstat(handle), place.stat()):
                continue  # who held it has just ended, and removed it
            lock.truncate(0)
            lock.write(_me())
            lock.flush()
            try:
                yield
            finally:
                place.unlink(missing_ok=True)
            return


def _held(name: str, who: str | None) -> UserError:
    return UserError(
        f"{name}: is being indexed by {who or 'another process'}; wait until it has ended"
    )


def _me() -> str:
    return f"mashjax, process {os.getpid()} on {socket.gethostname()}"[:63]
