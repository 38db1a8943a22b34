"""What the layouts share: walking a tree of folders, and reading names."""

import collections
import dataclasses
import os
import pathlib
import re
import unicodedata

from mashjax.audio.files import ENDINGS
from mashjax.errors import UserError

UNREADABLE = (
    ".aac", ".aif", ".aiff", ".alac", ".ape", ".au", ".m4a", ".m4b", ".mka", ".mp2", ".opus",
    ".wma", ".wv",
)  # fmt: skip
"""Endings of audio that is not read: a song or a stem, and so not to be passed over in silence."""

CONVERT = f"convert to {', '.join(e[1:] for e in ENDINGS[:-1])} or {ENDINGS[-1][1:]}"


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder of a tree.

    id: its path from the tree's root, joined with "/"; "" for the root itself.
    path, real: as it was reached, and without symbolic links.
    files: names of its visible files, sorted; links: those that are symbolic links.
    problem: why it could not be listed, or "".
    """

    id: str
    path: pathlib.Path
    real: str
    files: tuple[str, ...] = ()
    links: frozenset[str] = frozenset()
    problem: str = ""

    @property
    def audio(self) -> list[str]:
        """The files that can be read, by their endings."""
        return [name for name in self.files if ending(name) in ENDINGS]

    @property
    def unreadable(self) -> list[str]:
        """The files that are audio, but of an ending that cannot be read."""
        return [name for name in self.files if ending(name) in UNREADABLE]

    def id_of(self, name: str) -> str:
        """The path of one of the files from the tree's root, joined with "/"."""
        return _join(self.id, shown(name))

    def real_path(self, name: str) -> str:
        """The path of one of the files, without symbolic links."""
        path = os.path.join(self.real, name)
        return os.path.realpath(path) if name in self.links else path


def walk(folder: str | os.PathLike) -> list[Folder]:
    """Every folder of a tree, the root first, then by id.

    Names that begin with a dot are left out: hidden files, and the `._song.wav` that macOS
    leaves on other systems' disks. Symbolic links are followed; each real folder is visited
    once, by its own path rather than by a link, and links to what holds the root are not
    followed.

    Raises:
      UserError: `folder` is absent, a file, or may not be listed.
    """
    root = pathlib.Path(folder)
    if os.path.isfile(root):
        raise UserError(f"{root}: is a file; name the folder that it is in")
    if not os.path.isdir(root):
        raise UserError(f"{root}: no such folder; check its name")
    real_root = os.path.realpath(root)
    folders, links = [("", root, real_root)], collections.deque[tuple[str, pathlib.Path, str]]()
    seen: set[str] = set()
    found = []
    while folders or links:
        id, path, real = folders.pop() if folders else links.popleft()
        holds_root = real != real_root and _join(real_root, "").startswith(_join(real, ""))
        if holds_root or real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(path) as scan:
                entries = sorted((e for e in scan if e.name[0] != "."), key=lambda e: e.name)
        except OSError as error:
            found.append(
                Folder(id, path, real, problem=f"{shown(path)}: may not be read: {error.strerror}")
            )
            continue
        names, linked = [], set()
        for entry in entries:
            below = (_join(id, shown(entry.name)), path / entry.name)
            is_link = entry.is_symlink()
            if not _is_dir(entry):
                names.append(entry.name)
                if is_link:
                    linked.add(entry.name)
            elif is_link:
                links.append((*below, os.path.realpath(entry.path)))
            else:
                folders.append((*below, os.path.join(real, entry.name)))
        found.append(Folder(id, path, real, tuple(names), frozenset(linked)))
    if found[0].problem:
        raise UserError(found[0].problem)
    return sorted(found, key=lambda f: f.id)


def nothing_found(tree: list[Folder], *, wanted: str) -> UserError:
    """The error that says what was looked for in a tree, what was found instead, what to do."""
    endings = collections.Counter(ending(n) or "ending-less" for f in tree for n in f.files)
    found = [f"{count} {name}" for name, count in endings.most_common(3)]
    what = f"found {', '.join(found)} files" if found else "found no files at all"
    convert = f": {CONVERT}" if any(f.unreadable for f in tree) else ""
    problem = next((f"; {f.problem}" for f in tree if f.problem), "")
    return UserError(f"{tree[0].path}: found no {wanted}; {what} instead{convert}{problem}")


def cannot_be_read(path: str | os.PathLike) -> str:
    """What is said of a file with one of the `UNREADABLE` endings."""
    return f"{shown(path)}: {ending(str(path))} cannot be read; {CONVERT}"


def ending(name: str) -> str:
    """Of a file name, with its dot, in lower case."""
    return os.path.splitext(name)[1].lower()


def shown(path: str | os.PathLike) -> str:
    r"""A path as text that can be printed, hashed and stored anywhere, different for any other.

    Bytes that are no UTF-8, control characters and line ends become `\xNN`, a backslash two.
    """
    text = os.fspath(path)
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_escaped(c) for c in text)


def original(text: str) -> str:
    """The path that `shown` has shown as `text`."""
    raw = text.encode("utf-8", "surrogateescape")
    raw = re.sub(
        rb"\\(?:x([0-9a-f]{2})|\\)",
        lambda m: bytes.fromhex(m[1].decode()) if m[1] else b"\\",
        raw,
    )
    return os.fsdecode(raw)


def artist(name: str) -> str | None:
    """The artist of "Artist - Title" in lower case, or None where `name` is no such name.

    Numbers before either part ("03. ", "[3]") and guests ("feat. ...") are not part of it.

    >>> artist("03. The Band feat. A Guest - Their Song")
    'the band'
    """
    name = unicodedata.normalize("NFKC", name).casefold().replace("_", " ")
    name = re.sub(r"^(\[\d+\])+\[?", "", name)
    parts = [part.strip() for part in re.split(r"\s[-\u2013\u2014]\s", name)]
    if re.fullmatch(r"0*\d{1,2}\.?", parts[0]):
        parts = parts[1:]
    if len(parts) < 2:
        return None
    first = re.sub(r"^(0*\d{1,2}[.)\s]+)+(?=\S)", "", parts[0])
    return re.split(r"[\s(\[]+(?:feat|ft|featuring)\b", first)[0].strip() or None


def _escaped(c: str) -> str:
    if c == "\\":
        return "\\\\"
    if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp"):
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(c))
    return c


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if folder else name


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle, or into a folder that is closed: reading it will say so
        return False
