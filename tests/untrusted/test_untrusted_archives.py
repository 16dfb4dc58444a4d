"""Zips that leave their folder, hold links or lie about their size are not unpacked.

Each attack is made for real: its payload would make a file, the marker.
"""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness.data import download
from harness.system.errors import HarnessError


def zipped(tmp_path, members):
    """A zip in the cache, and its MD5: an attacker may have made what the MD5 is of."""
    archive = tmp_path / "cache" / "x.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return archive


def unpack(archive):
    return download.unpack(archive, hashlib.md5(archive.read_bytes()).hexdigest(), archive.parent / "x")


@pytest.mark.parametrize("name", ["../evil", "../../evil", "x/../../evil", "/tmp/harness-evil", "..//evil"])
def test_a_zip_that_leaves_its_folder_is_not_unpacked(name, tmp_path):
    archive = zipped(tmp_path, [("x/corpus.jsonl", "{}"), (name, "x")])
    with pytest.raises(HarnessError, match="points outside its folder; it was not unpacked"):
        unpack(archive)
    assert [path.name for path in tmp_path.rglob("*")] == ["cache", "x.zip"]
    assert not Path("/tmp/harness-evil").exists()


def test_a_zip_with_a_link_is_not_unpacked(tmp_path):
    link, through = zipfile.ZipInfo("x/qrels"), "x/qrels/evil"
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive = zipped(tmp_path, [(link, str(tmp_path)), (through, "x")])
    with pytest.raises(HarnessError, match="contains 'x/qrels', a link or a device; it was not unpacked"):
        unpack(archive)
    assert not (tmp_path / "evil").exists() and not (tmp_path / "cache" / "x").exists()


def test_a_zip_that_claims_or_has_a_huge_size_is_not_unpacked(tmp_path):
    archive = zipped(tmp_path, [("x/corpus.jsonl", b"\0" * 20_000_000)])
    assert archive.stat().st_size < 30_000
    with pytest.raises(HarnessError, match="would unpack to 20000000 bytes, expected at most .* not unpacked"):
        unpack(archive)
    assert [path.name for path in archive.parent.iterdir()] == ["x.zip"]


def test_what_is_no_zip_is_a_sentence(tmp_path):
    archive = tmp_path / "cache" / "x.zip"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as file:
        outside = tarfile.TarInfo("../evil")
        outside.size = 1
        file.addfile(outside, io.BytesIO(b"x"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/"
        file.addfile(link)
    with pytest.raises(HarnessError, match="cannot be unpacked .*BadZipFile"):
        unpack(archive)
    assert [path.name for path in tmp_path.rglob("*")] == ["cache", "x.zip"]


def test_a_zip_that_lies_about_a_size_is_a_sentence_and_nothing_is_kept(tmp_path):
    archive = zipped(tmp_path, [("x/corpus.jsonl", "some text that is longer than it says")])
    content = archive.read_bytes()
    central = content.index(b"PK\x01\x02")
    archive.write_bytes(content[: central + 24] + (5).to_bytes(4, "little") + content[central + 28 :])
    with pytest.raises(HarnessError, match="cannot be unpacked"):
        unpack(archive)
    assert [path.name for path in archive.parent.iterdir()] == ["x.zip"]
