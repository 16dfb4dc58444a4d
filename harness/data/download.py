"""BEIR's zip files: downloaded, checked against their MD5, unpacked. An archive is untrusted input."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path
from typing import Any

from harness.system.errors import HarnessError
from harness.system.progress import on_terminal

_RATIO = 100
"""How many times its size a zip may unpack to: texts and judgements are far below, bombs far above."""


_LARGEST = 2**31


URL = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{name}.zip"


class Absent(HarnessError):
    """The data set is not at hand, and cannot be had."""


def _refuse_path(option: str, name: Any) -> None:
    """Refuse a name that would lead to another folder than the one it is put behind."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.=,+-]*", name):
        raise HarnessError(f"{option}={ascii(name)[:80]}: expected a name of letters, digits and . _ -, not a path.")


def download(name: str, md5: str, target: Path, show: bool) -> Path:
    """Fetch NAME.zip with the beir package, check its MD5, unpack it; nothing is kept unless all of it is right."""
    from beir import util

    target.mkdir(parents=True, exist_ok=True)
    archive = target / f"{name}.zip"
    try:
        if not archive.exists():
            partial = archive.with_suffix(".part")
            partial.unlink(missing_ok=True)
            with contextlib.nullcontext() if on_terminal(show) else contextlib.redirect_stderr(io.StringIO()):
                util.download_url(URL.format(name=name), str(partial))  # shows a progress bar, asked or not
            partial.rename(archive)
    except Exception as error:  # beir passes on whatever requests, urllib and the disk raise
        archive.with_suffix(".part").unlink(missing_ok=True)
        raise Absent(
            f"cannot download data set '{name}' ({type(error).__name__}): go online, or set data_dir (or HARNESS_DATA) "
            f"to a folder that holds {name}/corpus.jsonl."
        ) from error
    return unpack(archive, md5, target / name)


def unpack(archive: Path, md5: str, target: Path) -> Path:
    """Unpack a BEIR zip of the expected MD5; a zip that is not is removed, and nothing of it is used."""
    found = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    if found != md5:
        archive.unlink()
        raise HarnessError(
            f"{archive.name} has MD5 {found}, expected {md5}: the download was broken or the file has changed; it was "
            "removed, run again to fetch it anew."
        )
    partial = target.with_name(target.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as file:
            _refuse_members(archive, file.infolist(), partial)
            for member in file.infolist():  # not extractall: each was looked at
                file.extract(member, partial)
        inner = partial / target.name
        (inner if inner.is_dir() else partial).rename(target)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
        raise HarnessError(
            f"{archive} cannot be unpacked ({type(error).__name__}: {error}): delete it, free space, and run again."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    archive.unlink()
    return target


def _refuse_members(archive: Path, members: list[zipfile.ZipInfo], target: Path) -> None:
    """Refuse a zip that would write outside of `target`, make links, or fill the disk."""
    for member in members:
        if not (target / member.filename).resolve().is_relative_to(target.resolve()):
            raise HarnessError(
                f"{archive.name} holds '{member.filename}', which points outside its folder: not unpacked."
            )
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise HarnessError(f"{archive.name} holds '{member.filename}', a link or a device: not unpacked.")
    size, most = sum(member.file_size for member in members), _RATIO * archive.stat().st_size
    if size > most:
        raise HarnessError(
            f"{archive.name} would unpack to {size} bytes, expected at most {most}, {_RATIO} times its own size: not "
            "unpacked."
        )
