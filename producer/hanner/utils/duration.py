"""Durations for people."""


def format_duration(seconds: float) -> str:
    """Return a duration with at most two units: `2 min 28 s`."""
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    whole = max(1, round(seconds))
    parts = []
    for name, size in units:
        count, whole = divmod(whole, size)
        parts.append(f"{count} {name}" if count else "")
    first = next(number for number, part in enumerate(parts) if part)
    return " ".join(part for part in parts[first : first + 2] if part)
