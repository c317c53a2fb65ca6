"""Tests of the key of a pair, and of the state of a pair in the outbox."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.outbox.ledger import Fingerprint, Status, look_up, settings_in_key, settings_in_metadata
from pipeline.outbox.metadata import Failure, Metadata
from pipeline.outbox.publish import Outbox
from pipeline.pair import Frame, Pair, Predecessor
from pipeline.settings.all_settings import PAIR_KEYS
from pipeline.settings.pair_settings import PairSettings
from pipeline.settings.resolve import for_pair, from_assignments

PICTURE = b"a picture, as far as the ledger can tell"
OTHER = {
    "image.size": 384,
    "colour.mode": "none",
    "style.fit": "cover",
    "objective.style": "gram",
    "objective.content_target": "photograph",
    "objective.content_layers": ["conv3_2", "conv4_2"],
    "objective.content_layer_weights": [0.5, 1],
    "objective.style_layers": ["conv1_1"],
    "objective.style_layer_weights": [1, 2, 3, 4, 5],
    "objective.content_weight": 1.5,
    "objective.style_weight": 9.0,
    "objective.tv_weight": 0.0,
    "objective.pooling": "average",
    "objective.padding": "zero",
    "pyramid.quality": "draft",
    "pyramid.ratio": "2",
    "pyramid.scales": 2,
    "pyramid.floor": 0,
    "pyramid.detail": 0.5,
    "pyramid.evaluations": [101],
    "optimiser.history": 21,
    "optimiser.alpha": 0.3,
    "optimiser.plateau": 0.01,
    "output.format": "webp",
    "output.jpeg_quality": 94,
    "output.bit_depth": 16,
    "output.strip_gps": True,
    "image.upscale": "guided",
    "colour.strength": 0.5,
    "colour.match": "pca",
    "style.scale": 0.5,
    "style.blend": True,
    "style.blend_weights": [1, 2],
}
"""Valid values that differ from the defaults, by setting of a pair."""
ADDED = {
    "objective.style": "wasserstein",
    "objective.content_target": "transported",
    "objective.content_layer_weights": [2],
    "pyramid.ratio": "sqrt2",
    "pyramid.floor": 32,
    "pyramid.detail": 0.5,
}
"""Settings that were added with the preset `painting`, with values that change what the presets before it make."""
FROM_THE_SMALLEST: dict[str, Any] = {"pyramid": {"floor": 0}}
"""Settings of the presets before `painting` that those presets have no longer."""
OF_EARLIER_VERSION = [
    (
        {"preset": "colour-preserving"} | FROM_THE_SMALLEST,
        "9f272031b7d45e636c60b20f10a111c03315e3ff25d5df2fc7fcc87d7c0303cc",
    ),
    ({"preset": "gatys2016"} | FROM_THE_SMALLEST, "c4274ef7a831f5c74c4cc8812dea3cbde2d60a975b399540c326d951149fa6a2"),
    ({"preset": "luminance"} | FROM_THE_SMALLEST, "afd16a9370efc60e132228e768f4f90e9fcc0b6fbf1220606fc15ad07848018f"),
    (
        {"preset": "pytorch-tutorial"} | FROM_THE_SMALLEST,
        "0ca73505128ea56ce3a86c6861a7000e20f7001e7b050476dba582185a77e886",
    ),
    (
        {"preset": "colour-preserving", "pyramid": {"floor": 0, "scales": 5, "quality": "print"}},
        "3a6daef5fed6d728c11b93d92629e710fe2c763b04adadc267ac7e6dd3d51481",
    ),
]
"""Settings, and the keys that they have with engine version 4 and the hashes of `fingerprint`.

They were computed by commit 8ae811e, the last one before the preset `painting`, with this expression:
Fingerprint(digest("content"), digest("style"), settings_in_key(for_pair({}, values, {})), digest("weights"), "4").key
"""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(settings: PairSettings | None = None) -> Fingerprint:
    parts = settings_in_key(settings or PairSettings())
    return Fingerprint(digest("content"), digest("style"), parts, digest("weights"), "1")


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "out")


@pytest.fixture
def pair() -> Pair:
    return Pair(Path("/a.png"), (Path("/b.png"),), "a.png", "b.png", "a", PairSettings())


def publish(outbox: Outbox, pair: Pair, now: Fingerprint) -> None:
    """Publish a result of a pair with the key of a fingerprint."""
    file = {"path": "a.png", "width": 4, "height": 3, "format": "png"}
    terms = {"total": 1, "content": 1, "style": 0, "tv": 0}
    with outbox.locked():
        sha256 = outbox.publish_picture(pair.file_name, PICTURE)
        record = {
            "key": now.key,
            "pair": {"content": file | {"sha256": now.content_sha256}, "style": file | {"sha256": now.style_sha256}},
            "preset": pair.settings.preset,
            "settings": settings_in_metadata(pair.settings),
            "weights": {"name": "packaged", "sha256": now.weights_sha256},
            "engine_version": now.engine_version,
            "device": "cpu",
            "working_size": (4, 3),
            "evaluations": 1,
            "precision": "float32",
            "objective": {"size": (4, 4), "first": terms, "last": terms, "best": terms, "trace": []},
            "coarser": [],
            "seconds": {"load": 0, "queue": 0, "stylise": 0, "save": 0},
            "peak_memory_bytes": None,
            "attempt": 1,
            "warnings": [],
            "output": {"path": pair.file_name, "sha256": sha256, "width": 4, "height": 3},
            "started": "",
            "finished": "",
            "versions": {},
        }
        outbox.publish_metadata(pair.name, pair.file_name, Metadata.model_validate(record))


def fail(outbox: Outbox, pair: Pair, key: str | None, error_class: str = "input", attempt: int = 3) -> None:
    """Publish a failure of a pair."""
    record: dict[str, Any] = {
        "key": key,
        "pair": {"content": "a.png", "style": "b.png"},
        "preset": pair.settings.preset,
        "settings": settings_in_metadata(pair.settings),
        "error_class": error_class,
        "reason": "a.png is torn.",
        "remedy": "",
        "attempt": attempt,
        "failed": "",
        "versions": {},
    }
    with outbox.locked():
        outbox.publish_failure(pair.name, Failure.model_validate(record))


def test_the_key_is_the_digest_of_the_parts_as_canonical_json() -> None:
    parts = {
        "weights_sha256": "3" * 64,
        "settings": {"image": {"size": 512}, "colour": {"mode": "none"}},
        "style_sha256": "2" * 64,
        "engine_version": "1",
        "content_sha256": "1" * 64,
        "mask_sha256": "",
    }
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    assert Fingerprint(**parts).key == digest(text)  # type: ignore[arg-type]
    assert digest(text) == "4f794dfed2d5046923f325a1d22edb6c8fcd7c7fe249639326ffd97c8d13cbc1"


@pytest.mark.parametrize(
    "change",
    [
        {"content_sha256": digest("other")},
        {"style_sha256": digest("other")},
        {"settings": {}},
        {"weights_sha256": digest("other")},
        {"engine_version": "2"},
        {"mask_sha256": digest("mask")},
    ],
)
def test_every_part_changes_the_key(change: dict[str, Any]) -> None:
    assert dataclasses.replace(fingerprint(), **change).key != fingerprint().key


def test_the_fingerprint_of_a_pair_is_over_all_its_files(pair: Pair) -> None:
    def of(pair: Pair) -> Fingerprint:
        return Fingerprint.of(pair, lambda path: digest(path.name), digest("weights"), "1")

    blend, mask = (Path("/b.png"), Path("/c.png")), Path("/m.png")
    assert of(pair).content_sha256 == digest("a.png")
    assert (of(pair).style_sha256, of(pair).mask_sha256) == (digest("b.png"), "")
    blended, masked = dataclasses.replace(pair, styles=blend), dataclasses.replace(pair, mask=mask)
    assert of(masked).mask_sha256 == digest("m.png")
    turned = dataclasses.replace(pair, styles=blend[::-1])
    assert len({of(each).key for each in (pair, blended, turned, masked)}) == 4


def test_what_of_a_mask_changed_is_said(outbox: Outbox, pair: Pair) -> None:
    publish(outbox, pair, fingerprint())
    masked = dataclasses.replace(fingerprint(), mask_sha256=digest("mask"))
    assert look_up(outbox, pair, masked).reason == "changed: mask"


def test_content_and_style_are_not_interchangeable() -> None:
    now = fingerprint()
    swapped = dataclasses.replace(now, content_sha256=now.style_sha256, style_sha256=now.content_sha256)
    assert swapped.key != now.key


def test_there_is_another_value_for_every_setting_of_a_pair() -> None:
    of_sequences = {key for key in PAIR_KEYS if key.startswith("sequence.")}
    assert set(OTHER) == set(PAIR_KEYS) - {"colour.variants"} - of_sequences


@pytest.mark.parametrize("name", sorted(OTHER))
def test_every_setting_of_a_pair_changes_the_key(name: str) -> None:
    layers = {"objective.content_layers": []} if name == "objective.style_layers" else {}
    changed = for_pair({}, from_assignments({name: OTHER[name], **layers}), {})
    assert fingerprint(changed).key != fingerprint(for_pair({}, from_assignments(layers), {})).key


@pytest.mark.parametrize(
    "values",
    [
        {"image": {"max_pixels": 256}},
        {"image": {"formats": ["png"]}},
        {"colour": {"variants": ["none"]}},
        {"preset": "luminance"},
        {"sequence": {"effort": 0.9, "temporal": 1.0, "refresh": 3, "film": "ffv1", "cuts": "none"}},
    ],
)
def test_limits_other_results_and_a_presets_name_do_not_change_the_key(values: dict[str, Any]) -> None:
    assert fingerprint(PairSettings(**values)).key == fingerprint().key


@pytest.mark.parametrize(
    ("changes", "is_equal"),
    [
        ({}, True),
        ({"key": "b" * 64}, False),
        ({"renews": True}, False),
        ({"first": Path("/c.png"), "first_sha256": digest("other")}, True),
        ({"effort": 0.9}, False),
        ({"temporal": 1.0}, False),
        ({"refresh": 3}, True),
        ({"film": "none"}, True),
    ],
)
def test_a_frames_key_chains_that_of_the_frame_before(changes: dict[str, Any], *, is_equal: bool) -> None:
    """The first frame of a shot is in the keys of all that follow it, and so are their cuts."""

    def key_of(**values: Any) -> str:
        of_frame = {name: values.pop(name) for name in ("key", "renews", "first", "first_sha256") if name in values}
        before = Predecessor(Path("/b.png"), "clip/1.png", "a" * 64, Path("/a.png"), digest("a"))
        pair = Pair(
            Path("/c.png"), (Path("/s.png"),), "c", "s", "clip/2", PairSettings(sequence=values),  # type: ignore[arg-type]
            frame=Frame("clip", 2, 9, "clip/1.png", predecessor=dataclasses.replace(before, **of_frame)),
        )  # fmt: skip
        return Fingerprint.of(pair, lambda path: digest(path.name), digest("weights"), "5").key

    assert (key_of(**changes) == key_of()) is is_equal


def test_the_first_frame_of_a_shot_has_the_key_of_a_photograph() -> None:
    pair = Pair(Path("/c.png"), (Path("/s.png"),), "c", "s", "clip/2", PairSettings())
    framed = dataclasses.replace(pair, frame=Frame("clip", 0, 9))
    keys = [Fingerprint.of(each, lambda path: digest(path.name), digest("w"), "5").key for each in (pair, framed)]
    assert keys[0] == keys[1]


def test_a_preset_has_the_key_of_its_values() -> None:
    by_name = for_pair({}, {"preset": "gatys2016"}, {})
    by_value = for_pair({}, by_name.model_dump(exclude={"preset"}), {})
    assert (by_name.preset, by_value.preset) == ("gatys2016", "painting")
    assert fingerprint(by_name).key == fingerprint(by_value).key != fingerprint().key


def test_a_number_has_one_key_however_it_is_written() -> None:
    pyramid = {"floor": "192", "detail": "0.4"}
    whole = for_pair({}, {"objective": {"style_weight": 1}, "image": {"size": "512"}, "pyramid": pyramid}, {})
    assert fingerprint(whole).key == fingerprint().key
    halved = (for_pair({}, {"pyramid": {"ratio": ratio}}, {}) for ratio in (2, "2"))
    assert len({fingerprint(each).key for each in halved}) == 1


@pytest.mark.parametrize(("values", "key"), OF_EARLIER_VERSION)
def test_what_an_earlier_version_could_do_has_the_key_that_it_had(values: dict[str, Any], key: str) -> None:
    now = fingerprint(for_pair({}, values, {}))
    assert dataclasses.replace(now, engine_version="4").key == key


@pytest.mark.parametrize("name", ADDED)
def test_a_setting_that_was_added_later_counts_where_it_makes_a_difference(
    outbox: Outbox, pair: Pair, name: str
) -> None:
    earlier = {"preset": "colour-preserving", "objective": {"style_weight": 1, "tv_weight": 0}} | FROM_THE_SMALLEST
    before = for_pair({}, earlier, {})
    after = for_pair({}, earlier, from_assignments({name: ADDED[name]}))
    assert fingerprint(after).key != fingerprint(before).key
    for old, new in ((before, after), (after, before)):
        publish(outbox, dataclasses.replace(pair, settings=old), fingerprint(old))
        entry = look_up(outbox, dataclasses.replace(pair, settings=new), fingerprint(new))
        assert (entry.status, entry.reason) == (Status.CHANGED, f"changed: {name}")


def test_of_a_result_of_an_earlier_version_only_what_changed_is_named(outbox: Outbox, pair: Pair) -> None:
    earlier = {"preset": "colour-preserving"} | FROM_THE_SMALLEST
    before = for_pair({}, earlier, {})
    pair = dataclasses.replace(pair, settings=before)
    publish(outbox, pair, fingerprint(before))
    without_added(outbox.metadata_path(pair.file_name))
    assert look_up(outbox, pair, fingerprint(before)).status is Status.DONE
    after = for_pair({}, earlier, {"objective": {"style_weight": 30}})
    entry = look_up(outbox, dataclasses.replace(pair, settings=after), fingerprint(after))
    assert (entry.status, entry.reason) == (Status.CHANGED, "changed: objective.style_weight")


def without_added(path: Path) -> None:
    """Remove the settings that were added later from a record, as an earlier version would have written it."""
    record = json.loads(path.read_bytes())
    for section, key in (name.split(".") for name in ADDED):
        del record["settings"][section][key]
    path.write_text(json.dumps(record))


def test_a_bad_input_that_an_earlier_version_has_recorded_is_not_tried_again(outbox: Outbox, pair: Pair) -> None:
    earlier = {"preset": "colour-preserving", "objective": {"style_weight": 1, "tv_weight": 0}} | FROM_THE_SMALLEST
    pair = dataclasses.replace(pair, settings=for_pair({}, earlier, {}))
    fail(outbox, pair, None)
    without_added(outbox.failures.path(pair.name))
    assert look_up(outbox, pair, None).status is Status.FAILED
    for name, value in ADDED.items():
        changed = for_pair({}, earlier, from_assignments({name: value}))
        entry = look_up(outbox, dataclasses.replace(pair, settings=changed), None)
        assert entry.status is Status.CHANGED, name


def test_what_was_never_rendered_is_new_even_without_an_outbox(outbox: Outbox, pair: Pair) -> None:
    assert look_up(outbox, pair, fingerprint()).status is Status.NEW
    assert look_up(outbox, pair, None).status is Status.NEW
    assert not outbox.root.exists()


def test_a_picture_without_metadata_is_new(outbox: Outbox, pair: Pair) -> None:
    with outbox.locked():
        outbox.publish_picture(pair.file_name, PICTURE)
    assert look_up(outbox, pair, fingerprint()).status is Status.NEW


def test_what_was_rendered_and_has_not_changed_is_done(outbox: Outbox, pair: Pair) -> None:
    publish(outbox, pair, fingerprint())
    entry = look_up(outbox, pair, fingerprint())
    assert (entry.status, entry.failed_attempts) == (Status.DONE, 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"content_sha256": digest("other")}, "changed: content"),
        ({"style_sha256": digest("other")}, "changed: style"),
        ({"weights_sha256": digest("other")}, "changed: weights"),
        ({"engine_version": "2"}, "changed: engine"),
        ({"content_sha256": digest("other"), "engine_version": "2"}, "changed: content, engine"),
    ],
)
def test_a_changed_part_is_named(outbox: Outbox, pair: Pair, change: dict[str, str], reason: str) -> None:
    publish(outbox, pair, fingerprint())
    entry = look_up(outbox, pair, dataclasses.replace(fingerprint(), **change))  # type: ignore[arg-type]
    assert (entry.status, entry.reason) == (Status.CHANGED, reason)


@pytest.mark.parametrize("name", sorted(set(OTHER) - {"output.format"}))
def test_a_changed_setting_is_named(outbox: Outbox, pair: Pair, name: str) -> None:
    publish(outbox, pair, fingerprint())
    with_weights = {"objective.content_layer_weights": [0.2, 1]} if name == "objective.content_layers" else {}
    changed = for_pair({}, from_assignments({name: OTHER[name], **with_weights}), {})
    entry = look_up(outbox, dataclasses.replace(pair, settings=changed), fingerprint(changed))
    assert (entry.status, entry.reason) == (Status.CHANGED, f"changed: {name}")


def test_a_result_whose_input_cannot_be_read_any_more_is_not_done(outbox: Outbox, pair: Pair) -> None:
    publish(outbox, pair, fingerprint())
    entry = look_up(outbox, pair, None)
    assert (entry.status, entry.reason) == (Status.CHANGED, "an input cannot be read any more")


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (None, "the picture is missing"),
        (PICTURE[:-1], "the picture was altered or truncated"),
        (b"", "the picture was altered or truncated"),
        (bytes([PICTURE[0] ^ 1]) + PICTURE[1:], "the picture was altered or truncated"),
        (PICTURE[:-1] + bytes([PICTURE[-1] ^ 128]), "the picture was altered or truncated"),
    ],
    ids=["missing", "one byte short", "empty", "first bit", "last bit"],
)
def test_a_damaged_picture_is_not_done(outbox: Outbox, pair: Pair, picture: bytes | None, reason: str) -> None:
    publish(outbox, pair, fingerprint())
    path = outbox.picture_path(pair.file_name)
    path.unlink() if picture is None else path.write_bytes(picture)
    entry = look_up(outbox, pair, fingerprint())
    assert (entry.status, entry.reason) == (Status.DAMAGED, reason)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1", b"\xff\xfe", b"null", b'{"title": "a.png"}'])
def test_a_json_file_that_does_not_say_that_it_is_metadata_is_none(outbox: Outbox, pair: Pair, data: bytes) -> None:
    publish(outbox, pair, fingerprint())
    outbox.metadata_path(pair.file_name).write_bytes(data)
    entry = look_up(outbox, pair, fingerprint())
    assert (entry.status, entry.reason) == (
        Status.NEW,
        f"not rendered yet; {pair.file_name}.json is no metadata of this result",
    )


def test_metadata_of_a_version_with_other_fields_is_damage(outbox: Outbox, pair: Pair) -> None:
    publish(outbox, pair, fingerprint())
    path = outbox.metadata_path(pair.file_name)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "new": "field"}))
    entry = look_up(outbox, pair, fingerprint())
    assert (entry.status, entry.reason) == (Status.DAMAGED, "its metadata cannot be read")


@pytest.mark.parametrize("readable", [True, False], ids=["readable inputs", "unreadable input"])
def test_a_bad_input_that_has_not_changed_is_not_tried_again(outbox: Outbox, pair: Pair, *, readable: bool) -> None:
    now = fingerprint() if readable else None
    fail(outbox, pair, now.key if now else None)
    entry = look_up(outbox, pair, now)
    assert (entry.status, entry.failed_attempts) == (Status.FAILED, 3)
    assert entry.reason == "failed before: a.png is torn."


@pytest.mark.parametrize(
    ("key", "error_class", "now"),
    [
        (digest("another key"), "input", fingerprint()),
        (None, "input", fingerprint()),
        (fingerprint().key, "input", None),
        (fingerprint().key, "environment", fingerprint()),
        (fingerprint().key, "internal", fingerprint()),
        (None, "environment", None),
    ],
    ids=["changed", "readable now", "unreadable now", "environment", "internal", "environment, unreadable"],
)
def test_a_failure_that_may_have_been_mended_is_tried_again(
    outbox: Outbox, pair: Pair, key: str | None, error_class: str, now: Fingerprint | None
) -> None:
    fail(outbox, pair, key, error_class)
    entry = look_up(outbox, pair, now)
    assert (entry.status, entry.failed_attempts) == (Status.CHANGED, 3)
    assert entry.reason == "failed before, now tried again"


def test_a_stale_failure_beside_a_result_is_ignored(outbox: Outbox, pair: Pair) -> None:
    publish(outbox, pair, fingerprint())
    fail(outbox, pair, fingerprint().key)
    entry = look_up(outbox, pair, fingerprint())
    assert (entry.status, entry.failed_attempts) == (Status.DONE, 0)


def test_a_failure_record_that_cannot_be_read_is_ignored(outbox: Outbox, pair: Pair) -> None:
    fail(outbox, pair, fingerprint().key)
    outbox.failures.path(pair.name).write_bytes(b"{")
    assert look_up(outbox, pair, fingerprint()).status is Status.NEW


def test_looking_up_writes_nothing(outbox: Outbox, pair: Pair) -> None:
    publish(outbox, pair, fingerprint())
    fail(outbox, pair, fingerprint().key)
    before = {path: path.stat().st_mtime_ns for path in outbox.root.rglob("*")}
    look_up(outbox, pair, None)
    assert {path: path.stat().st_mtime_ns for path in outbox.root.rglob("*")} == before
