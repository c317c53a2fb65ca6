"""Tests of sequences of frames in a manifest: their order, their names, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.conftest import photo
from tests.run.manifests import problems, read

if TYPE_CHECKING:
    from pathlib import Path


def frames(folder: Path, *names: str, size: tuple[int, int] = (24, 20)) -> None:
    for name in names:
        path = folder / "shots" / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(photo(*size)).save(path)


ROW = "content,style,sequence\nshots,style.jpg,true\n"


@pytest.mark.parametrize("content", ["shots", "shots/*.png", "shots/f*.png"])
def test_frames_come_in_the_order_of_their_numbers_and_know_the_frame_before(folder: Path, content: str) -> None:
    frames(folder, "f9.png", "f10.png", "f8.png")
    pairs = read(folder, f"content,style,sequence\n{content},style.jpg,true\n")
    assert [pair.file_name for pair in pairs] == [f"shots__style/f{number}.png" for number in (8, 9, 10)]
    assert [pair.frame.number for pair in pairs if pair.frame] == [0, 1, 2]
    assert [pair.frame.previous for pair in pairs if pair.frame] == ["", *[pair.file_name for pair in pairs[:2]]]
    assert {(pair.frame.clip, pair.frame.frames) for pair in pairs if pair.frame} == {("shots__style", 3)}


def test_without_the_column_they_are_photographs(folder: Path) -> None:
    frames(folder, "f1.png", "f3.png")
    for text in ("content,style\nshots,style.jpg\n", "content,style,sequence\nshots,style.jpg,false\n"):
        assert [pair.frame for pair in read(folder, text)] == [None, None]


def test_an_output_names_the_folder_and_variants_follow_their_own_frames(folder: Path) -> None:
    frames(folder, "1.png", "2.png")
    text = 'content,style,sequence,output,colour.variants\nshots,style.jpg,true,night/film,"[""none""]"\n'
    pairs = read(folder, text)
    assert [pair.file_name for pair in pairs] == [
        "night/film/1.png",
        "night/film/1--none.png",
        "night/film/2.png",
        "night/film/2--none.png",
    ]
    assert [pair.frame.previous for pair in pairs if pair.frame] == ["", "", *[pair.file_name for pair in pairs[:2]]]


def test_json_lines_have_a_truth_value(folder: Path) -> None:
    frames(folder, "1.png")
    (pair,) = read(folder, '{"content": "shots", "style": "style.jpg", "sequence": true}', "m.jsonl")
    assert pair.frame is not None


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["f1.png", "f3.png"], "frame 2 is missing between f1.png and f3.png; add what is missing, or renumber"),
        (["f1.png", "f5.png"], "frames 2 to 4 are missing between f1.png and f5.png; add what is missing, or renumber"),
        (["f1.png", "f01.png"], "frames with the same number: f01.png, f1.png; leave one of them"),
        (
            ["f1.png", "cover.png"],
            "frames without a number in the name: cover.png; number all frames, such as 0001.png",
        ),
        (
            ["f1.png", "f2.png", "g3.png"],
            "frames not named like the other frames (f….png): g3.png; put each sequence into a folder of its own",
        ),
        (
            ["f1.png", "f2.png", "f3.jpg"],
            "frames not named like the other frames (f….png): f3.jpg; put each sequence into a folder of its own",
        ),
    ],
)
def test_what_is_wrong_with_frames_is_named(folder: Path, names: list[str], problem: str) -> None:
    frames(folder, *names)
    assert problems(folder, ROW) == [f"line 2: content 'shots': {problem}"]


def test_frames_of_different_sizes_are_named(folder: Path) -> None:
    frames(folder, "1.png", "2.png", "4.png")
    frames(folder, "3.png", size=(30, 20))
    assert problems(folder, ROW) == [
        "line 2: content 'shots': frames not of 24×20 px like the other frames: 3.png (30×20 px); give all one size"
    ]


def test_other_mistakes(folder: Path) -> None:
    frames(folder, "1.png")
    assert problems(folder, "content,style,sequence\nshots,style.jpg,yes\n") == [
        "line 2: sequence should be true or false (got 'yes')"
    ]
    (several,) = problems(folder, "content,style,sequence,output\nshots,*.jpg,true,x\n")
    assert "for 4 sequences; leave it empty" in several
    (same,) = problems(folder, ROW + "shots,style.jpg,true\n")
    assert same == "line 3: 'shots__style' would be the name of two sequences (line 2); give one of them an output"


def test_an_empty_folder_is_a_warning_and_a_missing_one_an_error(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "shots").mkdir()
    assert read(folder, ROW) == []
    assert "nothing is painted for it now" in caplog.text
    (missing,) = problems(folder, "content,style,sequence\nnothing,style.jpg,true\n")
    assert "does not exist" in missing


def test_a_film_is_no_folder_of_frames(folder: Path) -> None:
    (folder / "clip1.mp4").touch()
    for text in ("content,style,sequence\nclip1.mp4,style.jpg,true\n", "content,style\nclip1.mp4,style.jpg\n"):
        assert problems(folder, text) == ["line 2: content 'clip1.mp4' is a film, which only `impasto run` paints"]
