"""Tests of names that photographs of one name have: distinct, and the same in every night."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from pipeline.outbox.paths import LONGEST_NAME_BYTES, check_name
from tests.run.manifests import make_result, names, problems, read

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.pair import Pair

ROW = "content,style\nDCIM/**/*.jpg,style.jpg\n"


def add(folder: Path, *cameras: str, name: str = "IMG_1.JPG") -> None:
    for camera in cameras:
        path = folder / "DCIM" / camera / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(camera)


def by_content(pairs: list[Pair]) -> dict[str, str]:
    return {pair.content_label: pair.file_name for pair in pairs}


def suffix_of(content: str, style: str = "style.jpg") -> str:
    return "-" + hashlib.sha256(f"{content}\0{style}".encode()).hexdigest()[:6]


def render(folder: Path, text: str = ROW, *, only: str = "") -> dict[str, str]:
    """Read a manifest as a run does, leave results of its pairs, and return the names of the results."""
    pairs = read(folder, text, outbox=folder / "out")
    for pair in pairs:
        if only in pair.content_label:
            sha256 = hashlib.sha256(pair.content.read_bytes()).hexdigest()
            make_result(folder / "out" / pair.file_name, pair.content_label, pair.style_label, sha256)
    return by_content(pairs)


def test_photographs_of_one_name_in_several_folders_have_distinct_names(folder: Path) -> None:
    add(folder, "100CANON", "101CANON")
    suffix = suffix_of("DCIM/101CANON/IMG_1.JPG")
    assert names(read(folder, ROW)) == ["IMG_1__style.png", f"IMG_1__style{suffix}.png"]


def test_photographs_of_one_name_and_several_kinds_have_distinct_names(folder: Path) -> None:
    add(folder, "100CANON")
    add(folder, "100CANON", name="img_1.png")
    found = names(read(folder, "content,style\nDCIM/100CANON,style.jpg\n"))
    assert len({name.casefold() for name in found}) == 2


def test_paintings_of_one_name_have_distinct_names(folder: Path) -> None:
    for name in ("s/1/sea.jpg", "s/2/sea.jpg"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    suffix = suffix_of("a.jpg", "s/2/sea.jpg")
    assert names(read(folder, "content,style\na.jpg,s/**/*.jpg\n")) == ["a__sea.png", f"a__sea{suffix}.png"]


def test_a_variant_has_the_suffix_before_its_mode(folder: Path) -> None:
    add(folder, "100CANON", "101CANON")
    pairs = read(folder, 'content,style,colour.variants\nDCIM/**/*.jpg,style.jpg,"[""none""]"\n')
    suffix = suffix_of("DCIM/101CANON/IMG_1.JPG")
    assert names(pairs)[2:] == [f"IMG_1__style{suffix}.png", f"IMG_1__style{suffix}--none.png"]


@pytest.mark.parametrize("later", ["099CANON", "102CANON"])
def test_a_photograph_that_is_added_changes_no_name(folder: Path, later: str) -> None:
    add(folder, "100CANON", "101CANON")
    first = render(folder)
    assert render(folder) == first
    add(folder, later)
    second = render(folder)
    assert first.items() <= second.items()
    assert len(set(second.values())) == 3


def test_a_result_is_not_replaced_though_its_photograph_is_gone(folder: Path) -> None:
    add(folder, "100CANON", "101CANON")
    before = render(folder)
    (folder / "DCIM/100CANON/IMG_1.JPG").unlink()
    after = render(folder)
    assert after.items() <= before.items()
    (folder / "DCIM/101CANON/IMG_1.JPG").unlink()
    add(folder, "102CANON")
    assert not set(render(folder).values()) & set(before.values())


def test_a_result_of_an_older_version_is_still_valid(folder: Path) -> None:
    add(folder, "101CANON")
    assert render(folder) == {"DCIM/101CANON/IMG_1.JPG": "IMG_1__style.png"}
    add(folder, "100CANON")
    assert render(folder)["DCIM/101CANON/IMG_1.JPG"] == "IMG_1__style.png"


def test_a_failed_pair_keeps_its_name(folder: Path) -> None:
    add(folder, "100CANON", "101CANON")
    before = render(folder, only="101CANON")
    record = {"status": "failed", "pair": {"content": "DCIM/100CANON/IMG_1.JPG", "style": "style.jpg"}}
    (folder / "out/failed").mkdir()
    (folder / "out/failed/IMG_1__style.json").write_text(json.dumps(record))
    add(folder, "099CANON")
    assert before.items() <= render(folder).items()


def test_a_photograph_that_was_moved_or_changed_keeps_its_name(folder: Path) -> None:
    add(folder, "100CANON")
    render(folder)
    (folder / "DCIM/100CANON").rename(folder / "DCIM/holiday")
    assert render(folder) == {"DCIM/holiday/IMG_1.JPG": "IMG_1__style.png"}
    (folder / "DCIM/holiday/IMG_1.JPG").write_text("developed anew")
    assert render(folder) == {"DCIM/holiday/IMG_1.JPG": "IMG_1__style.png"}


def test_a_name_that_a_row_gives_stays_with_it(folder: Path) -> None:
    add(folder, "100CANON", "101CANON")
    text = "content,style,output\nDCIM/**/*.jpg,style.jpg,\na.jpg,style.jpg,img_1__STYLE\n"
    found = by_content(read(folder, text))
    assert found["a.jpg"] == "img_1__STYLE.png"
    assert len({name.casefold() for name in found.values()}) == 3


def test_a_long_name_has_room_for_its_suffix(folder: Path) -> None:
    add(folder, "100CANON", "101CANON", name=f"{'x' * 235}.jpg")
    found = names(read(folder, ROW))
    assert found[0] == f"{'x' * 235}__style.png"
    assert found[1].startswith("x" * 60)
    assert all(check_name(name) is None and len(name.encode()) <= LONGEST_NAME_BYTES for name in found)


def test_a_pair_that_is_named_twice_is_painted_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "content,style\nb.png,style.jpg\n*.png,style.jpg\nsub,style.jpg\nsub/c.jpg,style.jpg\n"
    assert names(read(folder, text)) == ["b__style.png", "c__style.png"]
    assert caplog.messages == [
        "2 pairs are named more than once, and painted once: b.png × style.jpg, sub/c.jpg × style.jpg."
    ]


def test_one_pair_with_different_settings_needs_an_output(folder: Path) -> None:
    text = "content,style,image.size\nb.png,style.jpg,100\n*.png,style.jpg,200\n"
    (problem,) = problems(folder, text)
    assert problem.startswith("line 3: b.png × style.jpg would have the same output name 'b__style' as b.png × style.")
    assert problem.endswith("(line 2); give one of them an output")


def test_a_result_that_an_earlier_version_named_as_spelled_keeps_its_name(folder: Path) -> None:
    add(folder, "100CANON", name="what?.jpg")
    assert render(folder) == {"DCIM/100CANON/what?.jpg": "what___style.png"}
    (folder / "out/what___style.png.json").unlink()
    make_result(folder / "out/what?__style.png", "DCIM/100CANON/what?.jpg", "style.jpg")
    assert render(folder) == {"DCIM/100CANON/what?.jpg": "what?__style.png"}
