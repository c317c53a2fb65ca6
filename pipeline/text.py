"""Figures as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds in words: two digits, then minutes, then hours and minutes."""
    if seconds < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"  # noqa: PLR2004 - two digits
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"  # noqa: PLR2004


def memory(amount: int) -> str:
    """Bytes in GiB, to two digits."""
    gib = amount / 2**30
    return f"{gib:,.0f} GiB" if gib >= 10 else f"{gib:.2g} GiB"  # noqa: PLR2004 - two digits


def rate(per_hour: float) -> str:
    """Pairs per hour, to three digits."""
    return f"{per_hour:,.0f} pairs/h" if per_hour >= 100 else f"{per_hour:.3g} pairs/h"  # noqa: PLR2004
