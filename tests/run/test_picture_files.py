"""Tests of picture files: which files are ignored."""

from __future__ import annotations

import pytest

from pipeline.run.picture_files import is_ignored


@pytest.mark.parametrize(
    "name",
    [
        "a.jpg.part", "a.jpg.partial", "a.jpg.filepart", "a.jpg.crdownload", "a.jpg.download", "a.jpg.opdownload",
        "a.jpg.tmp", "a.jpg.temp", "a.jpg.!ut", "a.jpg.aria2", "a.jpg~", "~a.jpg", "~$a.jpg", "._a.jpg", ".nfs0000123",
        ".a.jpg.XyZ123", ".syncthing.a.jpg.tmp", ".DS_Store", ".impasto", "A.JPG.PART", "a\n.tmp", "\n~",
        "Thumbs.db", "THUMBS.DB", "ehthumbs.db", "Desktop.ini", "@eaDir", "#recycle", "$RECYCLE.BIN",
        "System Volume Information", "__MACOSX", "lost+found", "Icon\r",
    ],
)  # fmt: skip
def test_partial_files_and_litter_are_ignored(name: str) -> None:
    assert is_ignored(name)


@pytest.mark.parametrize(
    "name",
    [
        "a.jpg", "a.part.jpg", "part", "tmp", "tmp.jpg", "a~b.jpg", "a.tmpl", "a.db", "thumbs.db.jpg", "my thumbs.db",
        "eaDir", "recycle", "_style.jpg", "Icon", "icon.png", "lost", "lost+found.csv", "a\n.jpg", "a.tmp\n", "\udcff",
    ],
)  # fmt: skip
def test_ordinary_names_are_not_ignored(name: str) -> None:
    assert not is_ignored(name)
