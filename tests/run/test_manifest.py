"""Tests of reading manifests: rows to pairs, and all problems by line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.errors import ManifestError, UsageError
from pipeline.outbox.paths import check_name
from pipeline.run.manifest import ManifestRules, read_manifest
from pipeline.run.picture_files import entries_of
from tests.run.manifests import make_result, names, problems, read

if TYPE_CHECKING:
    from collections.abc import Callable

X_HASH = hashlib.sha256(b"x" * 245).hexdigest()[:8]
MASK_IS_MISSING = (
    "line 2: mask folder 'sub' has no mask of the name 'b'; make one, all white if the style is to act everywhere, or "
    "leave the mask empty in a row of its own"
)


@pytest.mark.parametrize(
    "text",
    [
        "content,style\na.jpg,style.jpg\n",
        "\ufeffcontent,style\r\na.jpg,style.jpg\r\n",
        "style , content\nstyle.jpg , a.jpg",
        "content;style;output\r\na.jpg;style.jpg;\r\n",
        "content\tstyle\na.jpg\tstyle.jpg\n",
        "content,style,preset\na.jpg,style.jpg,\n",
        'content,style,output\n"a.jpg",style.jpg,\n\n,,\n',
        "sep=;\r\ncontent;style\r\na.jpg;style.jpg\r\n",
        '\ufeff"sep=|"\ncontent|style\na.jpg|style.jpg\n',
        "content,style,,\na.jpg,style.jpg,,\n",
        "content,style\na.jpg,style.jpg,,,\n",
        ",Content,STYLE\n,a.jpg,style.jpg\n",
        "content\tstyle\r\na.jpg\tstyle.jpg\r\n".encode("utf-16"),
        "\ufeffcontent,style\na.jpg,style.jpg\n".encode("utf-16-be"),
    ],
)
def test_csv_of_all_kinds(folder: Path, text: str | bytes) -> None:
    (pair,) = read(folder, text)
    assert (pair.content, *pair.styles) == (folder / "a.jpg", folder / "style.jpg")
    assert (pair.content_label, pair.style_label, pair.file_name) == ("a.jpg", "style.jpg", "a__style.png")


def test_quoted_commas_and_other_scripts(folder: Path) -> None:
    assert names(read(folder, 'content,style\n"häuschen, groß.jpg",style.jpg\n')) == ["häuschen, groß__style.png"]


def test_json_lines(folder: Path) -> None:
    rows = [{"content": "a.jpg", "style": "style.jpg", "objective.style_layers": ["relu1_1"], "output": None}, {}]
    first, *rest = read(folder, json.dumps(rows[0]) + "\r\n\n", "m.jsonl")
    assert not rest
    assert first.settings.objective.style_layers == ("relu1_1",)


def test_a_name_that_is_not_unicode_is_made_so(folder: Path) -> None:
    row = '{"content": "a.jpg", "style": "style.jpg", "output": "odd\\ud800"}'
    assert names(read(folder, row, "m.jsonl")) == ["odd\ufffd.png"]
    assert "does not exist" in problems(folder, '{"content": "\\ud800", "style": "style.jpg"}', "m.jsonl")[0]
    Path(os.fsdecode(os.fsencode(folder) + b"/sub/\xff.jpg")).touch()
    assert names(read(folder, "content,style\nsub,style.jpg\n"))[-1] == "\ufffd__style.png"


def test_a_row_stands_for_every_content_times_every_style(folder: Path) -> None:
    pairs = read(folder, "content,style\nsub,*.jpg\n**/c.jpg,other\n")
    assert names(pairs) == ["c__a.png", "c__häuschen, groß.png", "c__style.png", "c__x[1].png", "c__style2.png"]


def test_a_name_with_brackets_is_itself_first(folder: Path) -> None:
    assert names(read(folder, "content,style\nx[1].jpg,style.jpg\n")) == ["x[1]__style.png"]


def test_a_rows_settings_are_above_the_config_and_below_the_flags(folder: Path) -> None:
    text = "content,style,image.size,preset\na.jpg,style.jpg,300,gatys2016\nb.png,style.jpg,,\n"
    first, second = read(folder, text, base_values={"image": {"size": 200}}, overrides={"output": {"format": "jpeg"}})
    assert (first.settings.image.size, first.settings.colour.mode, first.file_name) == (300, "none", "a__style.jpg")
    assert (second.settings.image.size, second.settings.colour.mode) == (200, "regions")
    assert read(folder, text, overrides={"image": {"size": 64}})[0].settings.image.size == 64


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "content;style;image.size;style.scale;output.bit_depth\na.jpg;style.jpg;768.0;0,5;16.0\n"),
        ("m.csv", "content\tstyle\timage.size\tstyle.scale\toutput.bit_depth\na.jpg\tstyle.jpg\t768\t0,5\t16\n"),
        ("m.csv", "content,style,image.size,style.scale,output.bit_depth\na.jpg,style.jpg,768.0,0.5,16.0\n"),
        (
            "m.jsonl",
            '{"content":"a.jpg","style":"style.jpg","image.size":768.0,"style.scale":0.5,"output.bit_depth":16.0}',
        ),
    ],
)
def test_numbers_are_read_as_spreadsheets_write_them(folder: Path, name: str, text: str) -> None:
    (pair,) = read(folder, text, name)
    assert (pair.settings.image.size, pair.settings.style.scale, pair.settings.output.bit_depth) == (768, 0.5, 16)


def test_the_output_column_names_the_result_and_its_format(folder: Path) -> None:
    text = "content,style,output\na.jpg,style.jpg,gifts/v1.2\nb.png,style.jpg,cat.WEBP\n"
    assert names(read(folder, text)) == ["gifts/v1.2.png", "cat.webp"]


def test_all_bad_rows_are_reported_at_once_by_line(folder: Path) -> None:
    text = (
        "content,style,output,image.size,pyramid.evaluations,preset\n"
        "none.jpg,style.jpg,,,,\n"
        "a.jpg,style.jpg,,7,0,\n"
        "a.jpg,style.jpg,,,,gatys\n"
        "a.jpg,style.jpg,one,,,\n"
        'b.png,"style.jpg\n",ONE,,,\n'
        "a.jpg,style.jpg,../x,,,\n"
        "a.jpg,style.jpg,/x,,,\n"
        "a.jpg,style.jpg,failed/x,,,\n"
        "*.tiff,style.jpg,,,,\n"
        ",style.jpg,,,,\n"
        "sub,*.jpg,x,,,\n"
        "a.jpg,style.jpg,,,,,,,x\n"
    )
    found = problems(folder, text)
    for expected in (
        "line 2: content 'none.jpg' does not exist",
        "line 3: image.size: should be the longest side in px (16 to 16384)",
        "line 3: pyramid.evaluations: should be greater than or equal to 2 (got 0)",
        "line 4: preset 'gatys' does not exist. Did you mean gatys2016?",
        "line 6: b.png × style.jpg would have the same output name 'ONE' as a.jpg × style.jpg (line 5)",
        "line 8: output '../x' leaves the outbox",
        "line 9: output '/x' leaves the outbox",
        "line 10: output 'failed/x' begins with failed",
        "line 11: content '*.tiff' matches no images",
        "line 12: no content",
        "line 13: output 'x' for 4 pairs",
        "line 14: 9 cells for 6 columns",
    ):
        assert any(line.startswith(expected) for line in found), expected
    assert len(found) == 12


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: the manifest is empty"),
        ("\ufeff \n", "line 1: the manifest is empty"),
        ("content,style\n", "line 1: the manifest lists no pairs"),
        ("content,styl\na.jpg,style.jpg\n", "line 1: unknown column 'styl'. Did you mean style?"),
        ("content,style,network.weights\n", "line 1: unknown column 'network.weights'"),
        ("content,style,image.max_pixels\n", "line 1: unknown column 'image.max_pixels'"),
        ("content,style,style\n", "line 1: column 'style' appears twice"),
        (b"content,style\na.jpg,\xff.jpg\n", "line 2: byte 0xff is not UTF-8"),
        ("content,style\na.jpg,sty\0le.jpg\n", "line 2: there is a NUL character"),
        ('content,style\na.jpg,"style\n', "not CSV"),
        ("sep=;\ncontent;style\nx.jpg;style.jpg\n", "line 3: content 'x.jpg' does not exist"),
        ("sep=;\ncontent;styl\n", "line 2: unknown column 'styl'"),
        ("sep=;\n", "line 2: there is no column 'content'"),
        ("sep=\r\ncontent,style\r\n", "line 1: unknown column 'sep='"),
        (",content,style\n0,a.jpg,style.jpg\n", "line 2: cell '0' is in a column without a name"),
        ("content,style\na.jpg,style.jpg,x\n", "line 2: 3 cells for 2 columns"),
        ("content,style,output\na.jpg,style.jpg,x.png\n", "is a png, but output.format is jpeg"),
    ],
)
def test_what_is_wrong_with_the_file_is_said_with_its_line(folder: Path, text: str | bytes, words: str) -> None:
    overrides = {"output": {"format": "jpeg"}} if "x.png" in str(text) else {}
    assert any(words in line for line in problems(folder, text, overrides=overrides))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"content": "a.jpg"\n', "line 1: not JSON"),
        ("\n[1]\n", "line 2: not a JSON object"),
        ('{"content": "a.jpg", "styel": "style.jpg"}', "Did you mean style?"),
        ('{"content": 3, "style": "style.jpg"}', "line 1: content should be text"),
        ('{"content": "a.jpg"}', "line 1: no style"),
        ('{"content": "a.jpg", "style": "style.jpg", "content": "b.png"}', "key 'content' appears more than once"),
        ('{"content": "a.jpg", "style": "style.jpg", "image.size": [1]}', "line 1: image.size: should be the longest"),
    ],
)
def test_what_is_wrong_with_json_lines_is_said_with_its_line(folder: Path, text: str, words: str) -> None:
    assert any(words in line for line in problems(folder, text, "m.jsonl"))


def test_files_outside_the_roots_are_refused_links_included(folder: Path) -> None:
    outside = folder.parent / "outside.jpg"
    outside.touch()
    (folder / "link.jpg").symlink_to(outside)
    text = "content,style\n../outside.jpg,style.jpg\nlink.jpg,style.jpg\na.jpg,style.jpg\n"
    assert len(read(folder, text)) == 3
    assert problems(folder, text, roots=(folder,)) == [
        "line 2: content '../outside.jpg' is outside of run.roots",
        "line 3: content 'link.jpg' is outside of run.roots",
    ]


def test_results_are_not_taken_for_contents_and_sidecars_of_others_are_no_metadata(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_result(folder / "sub/c__style.png", "sub/c.jpg", "style.jpg")
    (folder / "sub/d.png").touch()
    (folder / "sub/d.png.json").write_text('{"title": "d.png", "photoTakenTime": {"timestamp": "1"}}')
    for named in ("sub", "sub/*.*", "s*/**"):
        assert names(read(folder, f"content,style\n{named},style.jpg\n")) == ["c__style.png", "d__style.png"]
        assert caplog.messages == [f"{named}: 1 result of earlier runs left out: c__style.png."]
        caplog.clear()
    (only,) = read(folder, "content,style\nsub/c__style.png,style.jpg\n")
    assert only.content_label == "sub/c__style.png", "a file that is named is taken as named"


def test_a_missing_manifest_is_a_usage_error(folder: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_manifest(folder / "none.csv", {}, {}, ManifestRules((), check_name))


CELLS = st.sampled_from(
    ["content", "style", "output", "image.size", "a.jpg", "style.jpg", "*", "..", "3", '"', "\r", "x"]
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    data=st.one_of(
        st.binary(max_size=80),
        st.lists(st.lists(CELLS, max_size=5).map(",".join), max_size=5).map("\n".join).map(str.encode),
        st.lists(CELLS, max_size=4).map(lambda c: b"content,style\n" + ",".join(c).encode()),
    ),
    name=st.sampled_from(["m.csv", "m.jsonl"]),
)
def test_any_bytes_are_pairs_or_an_explained_error(folder: Path, data: bytes, name: str) -> None:
    try:
        pairs = read(folder, data, name)
    except UsageError as error:  # most random input is refused, as it should be
        assert str(error)  # noqa: PT017
    else:
        assert all(file.exists() for pair in pairs for file in pair.files)


def test_a_link_is_followed_and_its_own_name_counts(folder: Path) -> None:
    (folder / "link.jpg").symlink_to(folder / "a.jpg")
    (pair,) = read(folder, "content,style\nlink.jpg,style.jpg\n")
    assert (pair.content, pair.content_label, pair.name) == (folder / "a.jpg", "link.jpg", "link__style")


@pytest.mark.parametrize(("style", "name"), [("sub", "a__sub"), ("sub/*.jpg", "a__sub"), ("sub/c.jpg", "a__c")])
def test_a_folder_or_pattern_of_paintings_is_one_style_if_they_shall_blend(folder: Path, style: str, name: str) -> None:
    (folder / "sub" / "b.jpg").touch()
    (pair,) = read(folder, f"content,style,style.blend\na.jpg,{style},true\n")
    paintings = ("c",) if style == "sub/c.jpg" else ("b", "c")
    assert (pair.name, pair.styles) == (name, tuple(folder / "sub" / f"{painting}.jpg" for painting in paintings))
    assert pair.style_weights == (1.0,) * len(paintings)
    assert pair.style_label == style


def test_a_blend_has_one_weight_for_each_painting(folder: Path) -> None:
    (folder / "sub" / "b.jpg").touch()
    rows = "content,style,style.blend,style.blend_weights\na.jpg,sub,true,{}\n"
    (pair,) = read(folder, rows.format('"[3, 1]"'))
    assert pair.style_weights == (3, 1)
    assert "3 values, but there are 2 paintings" in problems(folder, rows.format('"[3, 1, 1]"'))[0]
    (pair,) = read(folder, 'content,style,style.blend_weights\na.jpg,style.jpg,"[3, 1]"\n')
    assert pair.style_weights == (1,), "a single painting has the whole weight"


def test_variants_are_further_results(folder: Path) -> None:
    pairs = read(folder, 'content,style,colour.variants\na.jpg,style.jpg,"[""none"", ""regions"", ""none""]"\n')
    assert names(pairs) == ["a__style.png", "a__style--none.png"]
    assert [pair.settings.colour.mode for pair in pairs] == ["regions", "none"]


def test_two_rows_may_not_have_variants_of_one_name(folder: Path) -> None:
    rows = 'content,style,output,colour.variants\na.jpg,style.jpg,x,"[""none""]"\na.jpg,style.jpg,x--none,\n'
    assert "would have the same output name" in problems(folder, rows)[0]


def test_the_result_has_the_photographs_format_if_it_shall(folder: Path) -> None:
    rows = "content,style,output.format\na.jpg,style.jpg,same\nb.png,style.jpg,same\nb.png,other/style2.webp,tiff\n"
    assert names(read(folder, rows)) == ["a__style.jpg", "b__style.png", "b__style2.tif"]


def test_a_row_may_name_a_mask_and_else_has_that_of_the_settings(folder: Path) -> None:
    rows = "content,style,mask\na.jpg,style.jpg,sub/c.jpg\nb.png,style.jpg,\n"
    assert [pair.mask for pair in read(folder, rows)] == [folder / "sub" / "c.jpg", None]
    (named, default) = read(folder, rows, mask=folder / "a.jpg")
    assert (named.mask_label, default.mask_label) == ("sub/c.jpg", "a.jpg")


def test_a_folder_of_masks_has_one_for_each_photograph(folder: Path) -> None:
    (folder / "sub" / "a.png").touch()
    (pair,) = read(folder, "content,style,mask\na.jpg,style.jpg,sub\n")
    assert pair.mask == folder / "sub" / "a.png"
    assert problems(folder, "content,style,mask\nb.png,style.jpg,sub\n") == [(MASK_IS_MISSING)]


def test_a_folder_of_masks_is_listed_once_for_all_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []
    monkeypatch.setattr("pipeline.run.masks.entries_of", lambda each: looks.append(each) or entries_of(each))
    (folder / "sub" / "a.png").touch()
    (folder / "sub" / "b.png").touch()
    pairs = read(folder, "content,style,mask\na.jpg,style.jpg,sub\nb.png,style.jpg,sub\n")
    assert [pair.mask for pair in pairs] == [folder / "sub" / "a.png", folder / "sub" / "b.png"]
    assert len(looks) == 1


def test_a_mask_that_is_not_there_or_outside_of_the_roots_is_refused(folder: Path) -> None:
    assert problems(folder, "content,style,mask\na.jpg,style.jpg,m.png\n") == ["line 2: mask 'm.png' does not exist"]
    rows = "content,style,mask\nsub/c.jpg,sub/c.jpg,a.jpg\n"
    assert problems(folder, rows, roots=(folder / "sub",)) == ["line 2: mask 'a.jpg' is outside of run.roots"]


def test_a_blend_by_a_pattern_has_the_name_of_the_folder_before_it(folder: Path) -> None:
    (pair,) = read(folder, "content,style,style.blend\na.jpg,sub/**/*.jpg,true\n")
    assert pair.name == "a__sub"


def test_a_missing_mask_is_reported_once_for_a_row(folder: Path) -> None:
    found = problems(folder, "content,style,mask\n*.jpg,other/style2.webp,m.png\n")
    assert found == ["line 2: mask 'm.png' does not exist"]


def test_weights_of_paintings_that_do_not_blend_are_a_mistake(folder: Path) -> None:
    (folder / "sub" / "b.jpg").touch()
    found = problems(folder, 'content,style,style.blend_weights\na.jpg,sub,"[3, 1]"\n')
    assert found == ["line 2: style.blend_weights are for one style of several paintings; set style.blend"]


def test_a_links_own_ending_is_that_of_its_result(folder: Path) -> None:
    (folder / "blob").touch()
    (folder / "link.tif").symlink_to(folder / "blob")
    (pair,) = read(folder, "content,style,output.format\nlink.tif,style.jpg,same\n")
    assert (pair.content, pair.file_name) == (folder / "blob", "link__style.tif")


LITTER = ("~$c.jpg", "~c.jpg", "._c.jpg", "@eaDir/c.jpg", "__MACOSX/c.jpg", "c.tmp/c.jpg", ".thumbnails/c.jpg")


@pytest.fixture
def littered(folder: Path) -> Path:
    """Return a folder whose subfolders have litter beside their pictures."""
    for name in (*(f"sub/{name}" for name in LITTER), "@eaDir/b.jpg", "b.part/b.jpg"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize(
    ("named", "taken"),
    [
        ("sub", ["c"]),
        ("sub/*", ["c"]),
        ("sub/*.jpg", ["c"]),
        ("*/c.jpg", ["c"]),
        ("sub/**/*.jpg", ["c", "e"]),
        ("s*/**/*", ["c", "e"]),
    ],
)
def test_a_folder_or_a_pattern_takes_no_litter(littered: Path, named: str, taken: list[str]) -> None:
    (littered / "sub" / "d").mkdir()
    (littered / "sub" / "d" / "e.jpg").touch()
    pairs = read(littered, f"content,style\n{named},style.jpg\n")
    assert names(pairs) == [f"{name}__style.png" for name in taken]


@pytest.mark.parametrize("pattern", ["sub/.*", "*/@eaD??/*"])
def test_a_pattern_of_nothing_but_litter_matches_no_images(
    littered: Path, pattern: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(littered, f"content,style\n{pattern},style.jpg\n") == []
    assert f"content {pattern!r} matches no images; nothing is painted for it now." in caplog.messages


def test_a_pattern_of_nothing_but_unfinished_copies_is_a_problem(littered: Path) -> None:
    (problem,) = problems(littered, "content,style\nsub/~*.jpg,style.jpg\n")
    assert problem == "line 2: content 'sub/~*.jpg' matches no images"


def test_a_blend_has_no_litter(littered: Path) -> None:
    (pair,) = read(littered, "content,style,style.blend\na.jpg,sub,true\n")
    assert pair.styles == (littered / "sub" / "c.jpg",)


def test_what_is_named_is_taken_as_named(littered: Path) -> None:
    rows = "content,style,output\n" + "".join(f"sub/{name},style.jpg,{i}\n" for i, name in enumerate(LITTER))
    assert [pair.content_label for pair in read(littered, rows)] == [f"sub/{name}" for name in LITTER]
    for folder in ("@eaDir", "@eaDir/*.jpg", "b.part/*"):
        assert names(read(littered, f"content,style\n{folder},style.jpg\n")) == ["b__style.png"]


def test_pictures_that_look_like_unfinished_copies_are_said_to_be_left_out_and_other_litter_is_not(
    littered: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("sub/~d.heic", "sub/@eaDir/d.heic", "sub/e.heic"):
        (littered / name).touch()
    read(littered, "content,style\nsub/**/*,style.jpg\n")
    assert [record.getMessage() for record in caplog.records] == [
        "sub/**/*: 1 picture left out: e.heic. To have them, convert them to JPEG, PNG or WebP.",
        (
            "sub/**/*: 4 files left out, since names such as ~a.jpg and a.part/ are those of unfinished copies: "
            "c.jpg, ~$c.jpg, ~c.jpg and 1 more. To have them, rename them or name each in a row of its own."
        ),
    ]


@pytest.mark.parametrize(
    ("photograph", "name"),
    [
        ("what?.jpg", "what___style"),
        ('a*b"c<d>e|f.jpg', "a_b_c_d_e_f__style"),
        ("a:b.jpg", "a_b__style"),
        ("a\tb.jpg", "a\ufffdb__style"),
        (f"{'x' * 245}.jpg", f"{'x' * 71}~{X_HASH}__style"),
    ],
)
def test_a_name_that_the_outbox_cannot_have_is_made_presentable(folder: Path, photograph: str, name: str) -> None:
    (folder / "odd").mkdir()
    (folder / "odd" / photograph).touch()
    assert [pair.name for pair in read(folder, "content,style\nodd,style.jpg\n")] == [name]


def test_possible_names_stay_as_they_are_spelled(folder: Path) -> None:
    (folder / "odd").mkdir()
    for photograph in ("\u0645\u06cc\u200c\u0631.jpg", " a .jpg", f"{'x' * 100}.jpg"):
        (folder / "odd" / photograph).touch()
    assert [pair.name for pair in read(folder, "content,style\nodd,style.jpg\n")] == [
        " a __style",
        f"{'x' * 100}__style",
        "\u0645\u06cc\u200c\u0631__style",
    ]


@pytest.mark.parametrize("named", ["sub/*.jpg", "sub"])
def test_a_folder_that_is_empty_now_is_nothing_to_do(
    folder: Path, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "sub/c.jpg").unlink()
    for litter in ("Thumbs.db", ".DS_Store", "notes.txt"):
        (folder / "sub" / litter).touch()
    assert read(folder, f"content,style\n{named},style.jpg\n{named},other\n") == []
    assert len(caplog.messages) == 1, "what is empty is told once"
    assert "nothing is painted for it now" in caplog.messages[0]
    assert names(read(folder, f"content,style\n{named},style.jpg\na.jpg,style.jpg\n")) == ["a__style.png"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("none/*.jpg,style.jpg", "content 'none/*.jpg' matches no images: there is no folder 'none'"),
        ("sub/*.jgp,style.jpg", "content 'sub/*.jgp' matches no images (.jpg, .png, .webp)"),
        ("sub/*.heic,style.jpg", "content 'sub/*.heic' matches no images (.jpg, .png, .webp)"),
        ("heic,style.jpg", "content folder 'heic' has no images (.jpg, .png, .webp)"),
        ("a.jpg,empty", "style folder 'empty' has no images (.jpg, .png, .webp)"),
        ("C:\\photos\\a.jpg,style.jpg", "content 'C:\\\\photos\\\\a.jpg' does not exist; this is a path of Windows"),
        (f"{'x' * 300}.jpg,style.jpg", "cannot be read: File name too long; shorten the name"),
        (f"a.jpg,style.jpg,{'x' * 300}", "mask 'xxx"),
        (f"{'x' * 300}/*.jpg,style.jpg", "cannot be read: File name too long"),
    ],
)
def test_what_is_no_empty_folder_but_a_mistake_is_a_problem(folder: Path, row: str, words: str) -> None:
    (folder / "empty").mkdir()
    (folder / "heic").mkdir()
    (folder / "heic/a.heic").touch()
    row += "," * (2 - row.count(","))
    (problem,) = problems(folder, f"content,style,mask\n{row}\n")
    assert words in problem
    assert problem.startswith("line 2: ")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EPERM, errno.ELOOP])
@pytest.mark.parametrize("functions", [("stat",), ("scandir", "listdir")])
def test_whatever_the_file_system_answers_is_told_by_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, functions: tuple[str, ...]
) -> None:
    def failing(original: Callable[..., Any]) -> Callable[..., Any]:
        def fail(path: Any = ".", *arguments: Any, **keywords: Any) -> Any:
            if isinstance(path, str | os.PathLike) and Path(path).name == "sub":
                raise OSError(number, os.strerror(number), str(path))
            return original(path, *arguments, **keywords)

        return fail

    for function in functions:
        monkeypatch.setattr(os, function, failing(getattr(os, function)))
    text = "content,style,mask\nsub,style.jpg,\na.jpg,style.jpg,\nsub/*.jpg,style.jpg,\nb.png,style.jpg,sub\nx,y,\n"
    with pytest.raises(ManifestError) as error:
        read(folder, text)
    found = error.value.problems
    assert [line[:6] for line in found if f"cannot be read: {os.strerror(number)}; " in line] == [
        "line 2",
        "line 4",
        "line 5",
    ]
    assert any("'x' does not exist" in line for line in found), "all other problems are told as well"
    assert error.value.is_of_machine is (number in (errno.EIO, errno.ESTALE))


def test_a_link_to_a_place_that_cannot_be_read_is_left_out_and_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "sub/link.jpg").symlink_to("/elsewhere/x.jpg")
    stat = os.stat

    def fail(path: Any, *arguments: Any, **keywords: Any) -> os.stat_result:
        if str(path).endswith("link.jpg") and keywords.get("follow_symlinks", True):
            raise OSError(errno.EACCES, "Permission denied")
        return stat(path, *arguments, **keywords)

    monkeypatch.setattr(os, "stat", fail)
    for named in ("sub", "sub/*.jpg"):
        assert names(read(folder, f"content,style\n{named},style.jpg\n")) == ["c__style.png"]
        assert f"{named}: 1 file or folder that cannot be read left out: " in caplog.text


def test_a_painting_that_cannot_be_read_is_not_left_out_of_a_blend(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sub/link.jpg").symlink_to("/elsewhere/x.jpg")
    stat = os.stat

    def fail(path: Any, *arguments: Any, **keywords: Any) -> os.stat_result:
        if str(path).endswith("link.jpg") and keywords.get("follow_symlinks", True):
            raise OSError(errno.EACCES, "Permission denied")
        return stat(path, *arguments, **keywords)

    monkeypatch.setattr(os, "stat", fail)
    found = problems(folder, "content,style,style.blend\na.jpg,sub,true\n")
    assert found == ["line 2: style 'sub': link.jpg cannot be read"]


def test_a_manifest_may_be_written_on_windows(folder: Path) -> None:
    text = "content,style,output\nsub\\C.JPG,.\\style.jpg,gifts\\c.png\n*.PNG,OTHER\\*.webp,\n"
    pairs = read(folder, text)
    assert [(pair.content_label, pair.file_name) for pair in pairs] == [
        ("sub/c.jpg", "gifts/c.png"),
        ("b.png", "b__style2.png"),
    ]
