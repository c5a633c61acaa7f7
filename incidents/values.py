"""Values of metrics and spans of time in words."""

from __future__ import annotations

from incidents.states import Metric


def describe_value(metric: str, value: float | None) -> str:
    """A value with its unit, for people: `33 %`, `120 ms`, `5 s`, `7 in 5 min`."""
    if value is None:
        return "no data"
    if metric in (Metric.ERROR_RATE, Metric.MEMORY_USAGE, Metric.CPU_USAGE):
        return f"{value * 100:.3g} %"
    if metric == Metric.RESPONSE_TIME:
        return f"{value:.0f} ms" if value < 1_000 else f"{value / 1000:.3g} s"
    if metric == Metric.SECURITY_EVENTS:
        return f"{value:.0f} in 5 min"
    return f"{value:.6g}"


def duration_text(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `24 h`, `2 d 3 h`: the two largest units that say something."""
    left = max(0, round(seconds))
    parts = []
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    for unit, size in units if left >= 2 * 86_400 else units[1:]:
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2]) or "0 s"
