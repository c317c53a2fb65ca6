"""Tests of films: read into frames and written again, with the same times and the same sound."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import struct
import sys
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ImageError, MachineError
from pipeline.images.films import av_library, reading, writing
from pipeline.images.films.description import FilmDescription
from pipeline.images.films.reading import extract as extract_into
from pipeline.images.films.writing import ending_of_film, write_film
from tests.conftest import photo

if TYPE_CHECKING:
    from pathlib import Path

HAS_AV = importlib.util.find_spec("av") is not None
av: Any = importlib.import_module("av") if HAS_AV else None
needs_av = pytest.mark.skipif(not HAS_AV, reason="needs the extra: impasto[video]")
RATE = Fraction(30000, 1001)
UNIT = Fraction(1, 30000)


def pictures(count: int, width: int = 96, height: int = 64) -> list[np.ndarray]:
    picture = photo(width + 2 * count, height, 3)
    return [picture[:, 2 * number : 2 * number + width] for number in range(count)]


def make_film(path: Path, frames: list[np.ndarray], *, times: list[int] | None = None, **changes: Any) -> Path:
    """Write a film with sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as output:
        video: Any = output.add_stream(changes.pop("codec", "libx264"), rate=RATE, options={"crf": "0"})
        video.width, video.height, video.pix_fmt = width, height, changes.pop("pixels", "yuv444p")
        video.codec_context.time_base = UNIT
        sound: Any = output.add_stream("aac", rate=48000) if changes.pop("sound", True) else None
        for name, value in changes.items():
            setattr(video.codec_context, name, value)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = (times or [1001 * each for each in range(len(frames))])[number], UNIT
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if sound is not None:
            wave = 0.3 * np.sin(np.arange(1024) * 0.05, dtype=np.float32)
            for number in range(len(frames) * 3 // 2):
                samples: Any = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
                samples.rate, samples.pts, samples.time_base = 48000, 1024 * number, Fraction(1, 48000)
                output.mux(sound.encode(samples))
            output.mux(sound.encode(None))
    return path


def sound_of(path: Path) -> list[tuple[bytes, int | None]]:
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [(bytes(packet), packet.pts) for packet in packets if packet.dts is not None]


def extract(film: Path, folder: Path) -> FilmDescription:
    """Extract a film, and make the folder's name known: one for each film of these tests."""
    description, found = extract_into(film, folder.parent / "all")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(found, folder)
    return description


def times_of(film: FilmDescription) -> list[Fraction]:
    return [timestamp * film.unit for timestamp in film.timestamps]


def read(folder: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))]


@needs_av
@pytest.mark.parametrize("codec", ["h264", "ffv1"])
@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("film.mp4", None),
        ("film.mkv", None),
        ("film.mov", None),
        ("varying.mp4", [0, 1001, 4004, 5005, 5505, 9009, 10010, 12012]),
    ],
)
def test_a_round_trip_keeps_frames_times_and_sound(tmp_path: Path, codec: Any, name: str, times: Any) -> None:
    frames = pictures(8)
    original = make_film(tmp_path / name, frames, times=times)
    found = extract(original, tmp_path / "frames")
    extracted = sorted((tmp_path / "frames").glob("*.png"))
    assert len(extracted) == len(found.timestamps) == 8
    assert read(tmp_path / "frames")[0].shape == (64, 96, 3)
    if times is None:
        assert abs(Fraction(found.rate) - RATE) < Fraction(1, 100)
    for one, other in zip(frames, read(tmp_path / "frames"), strict=True):
        assert np.abs(one.astype(float) - other).mean() < 3

    painted = tmp_path / f"painted{ending_of_film(original, codec)}"
    write_film(painted, extracted, found, original, codec)
    again = extract(painted, tmp_path / "again")
    moved = times_of(again)[0] - times_of(found)[0]  # Matroska lets the sound's lead-in begin at 0
    precision = max(found.unit, again.unit)
    assert all(abs(b - a - moved) <= precision for a, b in zip(times_of(found), times_of(again), strict=True))
    before, after = sound_of(original), sound_of(painted)
    assert [data for data, _ in before] == [data for data, _ in after]
    for one, other in zip(read(tmp_path / "frames"), read(tmp_path / "again"), strict=True):
        difference = one.astype(float) - other
        assert np.abs(difference).mean() < (8 if codec == "h264" else 0.01), "chroma has half the size"
        assert np.abs(difference.mean(axis=(0, 1))).max() < 0.5


def with_tags(path: Path, film: Path) -> Path:
    """Copy a film, and give the copy tags and chapters."""
    unit = Fraction(1, 1000)
    chapters = [
        {"id": 1, "start": 0, "end": 100, "time_base": unit, "metadata": {"title": "One"}},
        {"id": 2, "start": 100, "end": 250, "time_base": unit, "metadata": {"title": "Zwöi"}},
    ]
    with av.open(str(film)) as original, av.open(str(path), "w") as output:
        streams = {stream.index: output.add_stream_from_template(stream) for stream in original.streams}
        output.metadata.update({"title": "A film", "artist": "Ann"})
        streams[1].metadata["language"] = "fra"
        output.set_chapters(chapters)
        for packet in original.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    return path


@needs_av
@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_tags_and_chapters_are_kept(tmp_path: Path, ending: str) -> None:
    original = with_tags(tmp_path / f"tagged.{ending}", make_film(tmp_path / f"plain.{ending}", pictures(8)))
    found = extract(original, tmp_path / "frames")
    frames = sorted((tmp_path / "frames").glob("*.png"))
    films = [tmp_path / f"{name}.{ending}" for name in ("painted", "again")]
    for film in films:
        write_film(film, frames, found, original, "h264")
    assert films[0].read_bytes() == films[1].read_bytes()
    with av.open(str(films[0])) as painted:
        tags = {name.lower(): value for name, value in painted.metadata.items()}
        assert (tags["title"], tags["artist"]) == ("A film", "Ann")
        assert painted.streams.audio[0].metadata["language"] == "fra"
        chapters = [(each["metadata"]["title"], each["start"] * each["time_base"]) for each in painted.chapters()]
    assert chapters == [("One", 0), ("Zwöi", Fraction(1, 10))]
    assert [data for data, _ in sound_of(films[0])] == [data for data, _ in sound_of(original)]


@needs_av
@pytest.mark.parametrize(("width", "height"), [(95, 63), (96, 63)])
def test_odd_sizes_stay_as_they_are(tmp_path: Path, width: int, height: int) -> None:
    original = make_film(tmp_path / "odd.mp4", pictures(3, width, height))
    found = extract(original, tmp_path / "frames")
    write_film(tmp_path / "p.mp4", sorted((tmp_path / "frames").glob("*.png")), found, original, "h264")
    extract(tmp_path / "p.mp4", tmp_path / "again")
    for folder in ("frames", "again"):
        assert read(tmp_path / folder)[0].shape == (height, width, 3)


@needs_av
def test_a_film_of_one_frame_and_without_sound(tmp_path: Path) -> None:
    original = make_film(tmp_path / "one.mp4", pictures(1), sound=False)
    found = extract(original, tmp_path / "frames")
    write_film(tmp_path / "p.mp4", sorted((tmp_path / "frames").glob("*.png")), found, original, "h264")
    assert len(extract(tmp_path / "p.mp4", tmp_path / "again").timestamps) == 1


@needs_av
def test_ten_bits_and_transparency_are_told(tmp_path: Path) -> None:
    ten = extract(make_film(tmp_path / "ten.mkv", pictures(2), pixels="yuv420p10le"), tmp_path / "ten")
    assert ten.warnings == ("ten.mkv: 10 bits per channel are reduced to 8",)
    clear = extract(make_film(tmp_path / "clear.mkv", pictures(2), codec="ffv1", pixels="bgra"), tmp_path / "clear")
    assert clear.warnings == ("clear.mkv: its transparency is left out",)


@needs_av
def test_pixels_that_are_not_square_become_square(tmp_path: Path) -> None:
    film = make_film(tmp_path / "wide.mkv", pictures(2), sample_aspect_ratio=Fraction(3, 2))
    extract(film, tmp_path / "frames")
    assert read(tmp_path / "frames")[0].shape == (64, 144, 3)


@needs_av
def test_a_film_that_is_to_be_turned_is_upright(tmp_path: Path) -> None:
    film = make_film(tmp_path / "phone.mp4", pictures(2))
    extract(film, tmp_path / "lying")
    data = bytearray(film.read_bytes())
    matrix = data.index(b"tkhd") + 44
    data[matrix : matrix + 20] = struct.pack(">5i", 0, 1 << 16, 0, -1 << 16, 0)  # a quarter turn clockwise
    film.write_bytes(data)
    extract(film, tmp_path / "upright")
    for lying, upright in zip(read(tmp_path / "lying"), read(tmp_path / "upright"), strict=True):
        assert np.array_equal(np.rot90(lying, -1), upright)


@needs_av
@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_a_high_dynamic_range_is_refused(tmp_path: Path, transfer: int, name: str) -> None:
    film = make_film(tmp_path / "hdr.mkv", pictures(2), color_trc=transfer)
    with pytest.raises(ImageError, match=rf"hdr.mkv: is a film of high dynamic range \({name}\)"):
        extract(film, tmp_path / "frames")
    assert not list((tmp_path / "all").iterdir())


@needs_av
def test_what_is_no_film_or_damaged_is_named(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", pictures(12)).read_bytes()
    damaged = bytearray(film)
    damaged[len(film) // 2 : len(film) // 2 + 300] = bytes(300)
    broken = {"no.mp4": b"hello" * 100, "cut.mp4": make_film(tmp_path / "f.mp4", pictures(12)).read_bytes()[:3000]}
    broken |= {"hurt.mkv": bytes(damaged), "empty.mp4": b""}
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=f"{name}: cannot be read"):
            extract(tmp_path / name, tmp_path / "frames")
    with av.open(str(tmp_path / "sound.mp4"), "w") as output:
        stream: Any = output.add_stream("aac", rate=48000)
        samples: Any = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        samples.rate = 48000
        output.mux(stream.encode(samples))
        output.mux(stream.encode(None))
    with pytest.raises(ImageError, match=r"sound.mp4: has no video stream"):
        extract(tmp_path / "sound.mp4", tmp_path / "frames")


@needs_av
def test_frames_are_extracted_once_and_again_if_the_film_changes(tmp_path: Path) -> None:
    film, base = make_film(tmp_path / "film.mp4", pictures(3)), tmp_path / "films"
    _, folder = extract_into(film, base)
    before = (folder / "000000.png").stat()
    assert extract_into(film, base)[1] == folder
    assert (folder / "000000.png").stat() == before
    (folder / "000001.png").unlink()
    extract_into(film, base)
    assert len(read(folder)) == 3, "it was damaged"
    (folder / "film.json").write_text("")
    assert len(extract_into(film, base)[0].timestamps) == 3
    make_film(film, pictures(5))
    description, other = extract_into(film, base)
    assert len(description.timestamps) == len(read(other)) == 5
    assert other != folder


@needs_av
def test_nobody_reads_frames_who_may_not_read_the_film(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", pictures(2))
    film.chmod(0o600)
    _, folder = extract_into(film, tmp_path / "films")
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


@needs_av
def test_equal_frames_become_equal_bytes(tmp_path: Path) -> None:
    for name in ("film.mp4", "film.mkv"):
        original = make_film(tmp_path / name, pictures(8))
        found, folder = extract_into(original, tmp_path / "films")
        frames = sorted(folder.glob("*.png"))
        painted = [tmp_path / f"{number}-{name}" for number in range(2)]
        for path in painted:
            write_film(path, frames, found, original, "h264")
        assert painted[0].read_bytes() == painted[1].read_bytes()


@needs_av
def test_a_film_with_an_edit_list_has_fewer_frames_than_packets(tmp_path: Path) -> None:
    original = make_film(tmp_path / "film.mp4", pictures(30), gop_size=10)
    with av.open(str(original)) as source, av.open(str(tmp_path / "trimmed.mp4"), "w") as output:
        streams = {each.index: output.add_stream_from_template(each) for each in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                shift = int(0.4 / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    found, folder = extract_into(tmp_path / "trimmed.mp4", tmp_path / "films")
    assert 0 < len(found.timestamps) == len(read(folder)) <= 30


@needs_av
def test_text_that_is_no_utf8_is_no_error(tmp_path: Path) -> None:
    original = make_film(tmp_path / "film.avi", pictures(3), max_b_frames=0)
    data = original.read_bytes()
    title = "Gr\u00fc\u00dfe".encode("latin-1")
    chunk = b"LIST" + struct.pack("<I", 4 + 8 + 6) + b"INFO" + b"INAM" + struct.pack("<I", 6) + title.ljust(6, b"\0")
    at = data.index(b"LIST", data.index(b"hdrl"))
    original.write_bytes(data.replace(b"JUNK", b"JUNK", 1) if at < 0 else data[:12] + chunk + data[12:])
    found, folder = extract_into(original, tmp_path / "films")
    write_film(tmp_path / "p.mkv", sorted(folder.glob("*.png")), found, original, "h264")
    assert len(found.timestamps) == 3


@needs_av
def test_sound_that_the_container_does_not_take_is_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = make_film(tmp_path / "film.mp4", pictures(3))
    found, folder = extract_into(original, tmp_path / "films")
    until = writing._Waiting.until

    def fail(waiting: Any, seconds: float) -> list[Any]:
        if packets := until(waiting, seconds):
            raise av.error.ArgumentError(22, "Invalid argument")
        return packets

    monkeypatch.setattr(writing._Waiting, "until", fail)
    write_film(tmp_path / "p.mp4", sorted(folder.glob("*.png")), found, original, "h264")
    assert "sound, subtitles, tags and chapters cannot be copied" in caplog.text
    with av.open(str(tmp_path / "p.mp4")) as painted:
        assert not painted.streams.audio


@needs_av
def test_a_film_whose_original_is_gone_is_named(tmp_path: Path) -> None:
    original = make_film(tmp_path / "film.mp4", pictures(2))
    found, folder = extract_into(original, tmp_path / "films")
    original.unlink()
    with pytest.raises(ImageError, match=r"film.mp4: the painted film cannot be written"):
        write_film(tmp_path / "p.mp4", sorted(folder.glob("*.png")), found, original, "h264")


@needs_av
def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    film, base = make_film(tmp_path / "film.mp4", pictures(2)), tmp_path / "films"
    for name, age in (("unfinished-old", 90_000), ("unfinished-new", 80_000)):
        (base / name / "frames").mkdir(parents=True)
        os.utime(base / name, (time.time() - age,) * 2)
    extract_into(film, base)
    assert {path.name for path in base.glob("unfinished-*")} == {"unfinished-new"}


@needs_av
def test_processes_that_extract_one_film_at_the_same_time_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film, base = make_film(tmp_path / "film.mp4", pictures(3)), tmp_path / "films"
    run = reading._Extraction.run

    def while_another_does(extraction: Any) -> FilmDescription:
        monkeypatch.setattr(reading._Extraction, "run", run)
        extract_into(film, base)
        return run(extraction)

    monkeypatch.setattr(reading._Extraction, "run", while_another_does)
    _, folder = extract_into(film, base)
    assert len(read(folder)) == 3
    assert [path.name for path in base.iterdir()] == [folder.name]


def test_without_pyav_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MachineError, match="Films need PyAV") as caught:
        av_library.load_av()
    assert "pip install 'impasto[video]'" in caught.value.remedy
