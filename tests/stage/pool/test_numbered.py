"""Tests of numbered messages over a connection that loses, repeats and reorders."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pipeline.stage.pool.numbered import Heard, Sent


@given(st.integers(0, 2**32), st.integers(0, 30))
def test_every_message_arrives_once_and_in_order(seed: int, count: int) -> None:
    chance, sent, heard, arrived = random.Random(seed), Sent(), Heard(), []  # noqa: S311
    to_send = list(range(count))
    for _ in range(10_000):
        if to_send and chance.random() < 0.5:
            sent.add(to_send.pop(0))
        parcel = [each for each in sent.after(chance.randint(0, heard.known)) if chance.random() < 0.7]
        chance.shuffle(parcel)
        arrived += heard.accept([*parcel, *parcel[:1]])
        if len(arrived) == count and not to_send:
            break
    assert arrived == list(range(count))


def test_messages_that_are_known_are_forgotten() -> None:
    sent = Sent()
    for number in range(5):
        sent.add(number)
    assert [message for _, message in sent.after(3)] == [3, 4]
    assert [message for _, message in sent.after(0)] == [3, 4]
