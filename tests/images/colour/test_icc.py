"""Tests of ICC profiles: conversions are compared with littleCMS through Pillow, with 8 bits per channel."""

from __future__ import annotations

import io

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.images.colour.icc import ADOBE_RGB, SRGB, ProfileError, Space, converter
from tests.conftest import photo
from tests.images import profiles

SRGB_PRIMARIES = [0.64, 0.33, 1.0, 0.30, 0.60, 1.0, 0.15, 0.06, 1.0]


def of_gamma(gamma: float) -> bytes:
    """Return a profile with the primaries of sRGB."""
    whitepoint = [0.3127, 0.3290, 1.0]
    return bytes(imagecodecs.cms_profile("rgb", whitepoint=whitepoint, primaries=SRGB_PRIMARIES, gamma=gamma))


LINEAR = of_gamma(1.0)

MODES: dict[Space, str] = {"gray": "L", "rgb": "RGB", "cmyk": "CMYK"}


def samples(space: Space) -> np.ndarray:
    picture = photo(80, 60)
    if space == "gray":
        return picture[:, :, :1]
    return picture if space == "rgb" else np.dstack([picture, photo(80, 60, seed=1)[:, :, 0] // 2])


def by_pillow(values: np.ndarray, profile: bytes, space: Space) -> np.ndarray:
    """Return samples converted to sRGB by littleCMS through Pillow."""
    image = Image.fromarray(values[:, :, 0] if space == "gray" else values, MODES[space])
    converted = ImageCms.profileToProfile(
        image,
        io.BytesIO(profile),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None
    return np.asarray(converted)


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return ΔE*ab of CIE 1976 per pixel, of sRGB 0–255."""
    first, second = (cv2.cvtColor(np.float32(each) / 255, cv2.COLOR_RGB2Lab) for each in (one, other))
    return np.linalg.norm(first - second, axis=2)


@pytest.mark.parametrize(
    ("name", "space", "profile"),
    [
        ("Display P3", "rgb", profiles.DISPLAY_P3),
        ("Adobe RGB by hand", "rgb", profiles.ADOBE_RGB),
        ("our Adobe RGB", "rgb", ADOBE_RGB),
        ("linear", "rgb", LINEAR),
        ("grey of gamma 1.8", "gray", profiles.GREY),
        ("CMYK", "cmyk", profiles.CMYK),
    ],
)
def test_colours_become_what_littlecms_says(name: str, space: Space, profile: bytes) -> None:
    values = samples(space)
    convert = converter(profile, space)
    assert convert is not None
    eight, sixteen = convert(values), convert(values.astype(np.uint16) * 257)
    wanted = by_pillow(values, profile, space)
    assert eight.dtype == sixteen.dtype == np.uint16
    assert eight.shape == sixteen.shape == (60, 80, 3)
    for found in (eight, sixteen):
        apart = difference(np.rint(found / 257), wanted)
        assert np.percentile(apart, 99) <= 1
        assert apart.max() <= 2, "two neighbouring levels of 8 bits differ as much in the dark"
    plain = values[:, :, :3] if space != "gray" else values.repeat(3, axis=2)
    assert difference(wanted, plain).mean() > 2, "the conversion changes the colours visibly"


def test_our_adobe_rgb_is_adobes() -> None:
    ours, by_hand = (converter(profile, "rgb") for profile in (ADOBE_RGB, profiles.ADOBE_RGB))
    assert ours is not None
    assert by_hand is not None
    assert difference(ours(samples("rgb")) / 257, by_hand(samples("rgb")) / 257).max() < 0.5


def test_sixteen_bits_are_not_rounded_to_eight() -> None:
    convert = converter(profiles.DISPLAY_P3, "rgb")
    assert convert is not None
    ramp = np.repeat(np.arange(20000, 22000, dtype=np.uint16)[None, :, None], 3, axis=2)
    assert len(np.unique(convert(ramp)[:, :, 1])) > 1500


def test_sixteen_bits_are_exact() -> None:
    """Compare with the formulas: exponent, primaries relative to D50, and the curve of IEC 61966-2-1."""
    convert = converter(profiles.ADOBE_RGB, "rgb")
    assert convert is not None
    values = np.random.default_rng(0).uniform(0, 1, (50, 50, 3))
    from_adobe = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
    from_srgb = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    linear = np.clip(values**2.19921875 @ (np.linalg.inv(from_srgb) @ from_adobe).T, 0, 1)
    wanted = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    found = convert(np.rint(values * 65535).astype(np.uint16)) / 257
    assert np.abs(found - wanted).max() < 0.3
    assert np.abs(found - wanted).mean() < 0.02


def test_black_ink_becomes_black_and_paper_white(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test black point compensation: this ink is no darker than L* = 20."""
    monkeypatch.setattr(profiles, "_ink", lambda levels: (100 - 20 * sum(levels), 0, 0))
    profile = profiles._cmyk().replace(b"prtr", b"scnr", 1)  # a printer profile has its black point in another table
    convert = converter(profile.replace(b"A2B0", b"A2B1", 1), "cmyk")
    assert convert is not None
    ends = convert(np.array([[[255, 255, 255, 255], [0, 0, 0, 0]]], np.uint8))[0] / 257
    assert ends[0].max() < 2
    assert ends[1].min() > 253


@pytest.mark.parametrize("space", ["rgb", "gray"])
def test_what_is_srgb_is_left_alone(space: Space) -> None:
    assert converter(SRGB, space) is None
    assert converter(bytes(imagecodecs.cms_profile("srgb")), space) is None


def test_a_profile_with_another_curve_than_srgb_is_not_taken_for_it() -> None:
    assert converter(of_gamma(2.2), "rgb") is not None


@pytest.mark.parametrize(
    ("profile", "space", "words"),
    [
        (b"", "rgb", "damaged"),
        (b"junk" * 200, "rgb", "damaged"),
        (SRGB[:200], "rgb", "damaged"),
        (SRGB[:130] + bytes(400), "rgb", "damaged"),
        (profiles.CMYK[:300], "cmyk", "damaged"),
        (profiles.GREY, "rgb", "is for grey, not RGB"),
        (profiles.DISPLAY_P3, "gray", "is for RGB, not grey"),
        (profiles.CMYK, "rgb", "is for CMYK, not RGB"),
        (SRGB, "cmyk", "is for RGB, not CMYK"),
        (ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(), "rgb", "is for Lab, not RGB"),
    ],
)
def test_what_cannot_be_used_is_said(profile: bytes, space: Space, words: str) -> None:
    with pytest.raises(ProfileError, match=words):
        converter(profile, space)


def test_the_profile_of_results_has_no_date_of_today() -> None:
    assert SRGB[24:36] == bytes.fromhex("07ea00010001000000000000")
    again = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    again[24:36] = SRGB[24:36]
    assert bytes(again) == SRGB
