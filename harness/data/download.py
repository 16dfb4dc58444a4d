"""BEIR's zip files: downloaded, checked against their MD5, and unpacked as untrusted input."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path
from typing import Any

from harness.system.errors import HarnessError
from harness.system.files import file_digest
from harness.system.progress import bar, on_terminal

_RATIO = 100
"""A zip may unpack to at most this many times its size. Texts stay far below it, zip bombs are far above it."""
PARTIAL = ".part"
"""The ending of a file or folder that is not complete."""
URL = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{name}.zip"


class Absent(HarnessError):
    """The data set is not on this machine and cannot be downloaded."""


def refuse_path(option: str, name: Any) -> None:
    """Refuse a name that leads out of the folder that it is joined to.

    Raises
    ------
    HarnessError
        If the name has a separator, or is otherwise not a plain file name.
    """
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.=,+-]*", name):
        raise HarnessError(f"{option}={ascii(name)[:80]}: expected a name of letters, digits and . _ -, not a path.")


def download(name: str, md5: str, target: Path, show: bool) -> Path:
    """Download NAME.zip with the beir package, check its MD5 and unpack it; what fails is removed.

    Parameters
    ----------
    target
        Folder for the archive and for the data set's folder, which is returned.
    show
        Whether progress is shown.

    Raises
    ------
    Absent
        If the download fails.
    HarnessError
        If the archive is damaged or unsafe.
    """
    from beir import util

    target.mkdir(parents=True, exist_ok=True)
    archive = target / f"{name}.zip"
    try:
        if not archive.exists():
            partial = archive.with_suffix(PARTIAL)
            partial.unlink(missing_ok=True)
            with contextlib.ExitStack() as stack:
                if not on_terminal(show):  # beir shows a progress bar, asked or not
                    stack.enter_context(bar(f"download {name}.zip", 1, show))
                    stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
                util.download_url(URL.format(name=name), str(partial))
            partial.rename(archive)
    except Exception as error:  # anything that requests, urllib or the disk raise
        archive.with_suffix(PARTIAL).unlink(missing_ok=True)
        raise Absent(
            f"cannot download data set '{name}' ({type(error).__name__}): go online, or set data_dir (or HARNESS_DATA) "
            f"to a folder with {name}/, as the zip has it."
        ) from error
    return unpack(archive, md5, target / name, show)


def unpack(archive: Path, md5: str, target: Path, show: bool = False) -> Path:
    """Unpack a BEIR zip into the folder `target`, and remove the zip.

    Raises
    ------
    HarnessError
        If its MD5 is not the expected one (the zip is then removed), or it cannot be unpacked safely.
    """
    found = file_digest(archive, "md5")
    if found != md5:
        archive.unlink()
        raise HarnessError(
            f"{archive.name} has MD5 {found}, expected {md5}: the download was damaged or the file has changed; it was "
            "removed, run again to download it again."
        )
    partial = target.with_name(target.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as file:
            _refuse_members(archive, file.infolist(), partial)
            members = file.infolist()
            with bar(f"unpack {archive.name}", len(members), show, "files") as progress:
                for member in members:  # not extractall: only what was checked
                    file.extract(member, partial)
                    progress.update()
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
    """Refuse a zip that would write outside `target`, make links, or fill the disk."""
    for member in members:
        if not (target / member.filename).resolve().is_relative_to(target.resolve()):
            raise HarnessError(
                f"{archive.name} contains '{member.filename}', which points outside its folder; it was not unpacked."
            )
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise HarnessError(f"{archive.name} contains '{member.filename}', a link or a device; it was not unpacked.")
    size, most = sum(member.file_size for member in members), _RATIO * archive.stat().st_size
    if size > most:
        raise HarnessError(
            f"{archive.name} would unpack to {size} bytes, expected at most {most}, {_RATIO} times its own size; it "
            "was not unpacked."
        )
