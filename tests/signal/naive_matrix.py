"""The measurement matrix in plain Python, lead by lead: the oracle of matrix.py."""

from __future__ import annotations

from feldsher_signal.delineate import P_OFF, P_ON, P_PEAK, QRS_OFF, QRS_ON, T_OFF, T_ON, T_PEAK


def deflections(y: list[float], ms: float) -> list[tuple[float, float, float]]:
    """Return the deflections of a QRS (amplitude, duration ms, peak ms after onset) of at least 30 µV and 6 ms."""
    out: list[tuple[float, float, float]] = []
    start = 0
    for end in range(1, len(y) + 1):
        if end < len(y) and (y[end] > 0) == (y[start] > 0):
            continue
        top = max(range(start, end), key=lambda i: abs(y[i]))
        if (end - start) * ms >= 6 and abs(y[top]) >= 30:
            out.append((y[top], (end - start) * ms, top * ms))
        start = end
    return out


def named(waves: list[tuple[float, float, float]]) -> dict[str, float]:
    """Return Q, R, S, R′, S′ by order and sign, the largest of those that share a name."""
    out: dict[str, float] = {}
    for amplitude, lasts, at in waves:
        if amplitude > 0:
            name = "r" if "r" not in out else "r2"
            if amplitude > out.get(name, 0.0):
                out["rpt_ms"] = at
                if name == "r":
                    out["peak_ms"] = at
        else:
            name = "q" if "r" not in out else "s" if "r2" not in out else "s2"
        if abs(amplitude) > abs(out.get(name, 0.0)):
            out |= {name: amplitude, f"{name}_ms": lasts}
    return out


def mean(y: list[float], a: int, b: int) -> float:
    """Return the mean of y[a:b] as far as it exists."""
    piece = y[max(a, 0) : max(b, 0)]
    return sum(piece) / len(piece) if piece else 0.0


def wave(y: list[float], a: int, peak: float, b: int, base: float, ms: float) -> tuple[float, float, float]:
    """Return a wave's other phase, how long its main phase lasts, and its area, samples a … b."""
    piece = [v - base for v in y[a : b + 1]]
    against = [v for v in piece if v * peak < 0]
    return (
        max(against, key=abs, default=0.0),
        sum(ms for v in piece if v * peak > 0),
        sum(v * ms / 1000 for v in piece),
    )


def matrix(raw: list[float], own: list[int], every: list[int], fs: float) -> dict[str, float]:
    """Return one lead's waves, ST points, areas, P and T from its own marks and the global ones."""
    on, off, half, ms = every[QRS_ON], every[QRS_OFF], max(round(0.004 * fs), 1), 1000 / fs
    base = mean(raw, on - round(0.012 * fs), on + 1)
    y = [v - base for v in raw]
    out = named(deflections(y[on : off + 1], ms))
    out["qrs_area"] = sum(y[on : off + 1]) * ms / 1000
    for k, name in enumerate(("j", "st20", "st40", "st60", "st80")):
        at = off + round(20 * k / ms)
        out[name] = mean(y, at - half, at + half + 1)
    for k, name in ((20, "d20"), (40, "d40")):
        at = on + round(k / ms)
        out[name] = mean(y, at - half, at + half + 1)
    if own[T_PEAK] >= 0:
        out["t"] = mean(y, own[T_PEAK] - half, own[T_PEAK] + half + 1)
        other, main_ms, out["t_area"] = wave(y, own[T_ON], out["t"], own[T_OFF], 0.0, ms)
        out["t2"] = other if abs(other) >= 30 else 0.0
        out["t_ms"] = main_ms if abs(other) >= 30 else (own[T_OFF] - own[T_ON]) * ms
    if own[P_PEAK] >= 0:
        level = mean(y, own[P_ON] - half, own[P_ON] + half + 1)
        out["p"] = mean(y, own[P_PEAK] - half, own[P_PEAK] + half + 1) - level
        other, main_ms, out["p_area"] = wave(y, own[P_ON], out["p"], own[P_OFF], level, ms)
        out["p2"] = other if abs(other) >= 15 else 0.0
        out["p_ms"] = main_ms if abs(other) >= 15 else (own[P_OFF] - own[P_ON]) * ms
    return out
