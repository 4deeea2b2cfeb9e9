"""Silhouettes as signed distances: below 0 inside. u runs right, v down, a thing reaches from -1 to 1.

A shape is two parts: the body, which has the material, pattern and colour, and what is not of it (legs, leaves, a handle, hands). Distances of
primitives as in Quilez, "2D distance functions" (iquilezles.org); an ellipse's is approximate, and a profile's is exact only near its edge.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]  # float32, which the types of mixed arithmetic do not follow
Shape = Callable[[Field, Field], tuple[Field, Field]]


def share(field: Field) -> Field:
    """Cut to 0..1."""
    cut: Field = np.minimum(np.maximum(field, 0), 1)
    return cut


def circle(u: Field, v: Field, x: float, y: float, r: float) -> Field:
    return np.sqrt((u - x) ** 2 + (v - y) ** 2) - r


def ellipse(u: Field, v: Field, x: float, y: float, a: float, b: float, turn: float = 0.0) -> Field:
    p, q = u - x, v - y
    if turn:
        c, s = float(np.cos(turn)), float(np.sin(turn))
        p, q = c * p + s * q, c * q - s * p
    return (np.sqrt((p / a) ** 2 + (q / b) ** 2) - 1) * min(a, b)


def box(u: Field, v: Field, x: float, y: float, w: float, h: float, r: float = 0.0) -> Field:
    p, q = abs(u - x) - (w - r), abs(v - y) - (h - r)
    outside = np.sqrt(np.maximum(p, 0) ** 2 + np.maximum(q, 0) ** 2)
    distance: Field = outside + np.minimum(np.maximum(p, q), 0) - r
    return distance


def bar(u: Field, v: Field, a: tuple[float, float], b: tuple[float, float], r: float) -> Field:
    """A line from a to b with round ends."""
    along = np.array([b[0] - a[0], b[1] - a[1]], np.float32)
    p, q = u - a[0], v - a[1]
    part = share((p * along[0] + q * along[1]) / (along @ along))
    distance: Field = np.sqrt((p - part * along[0]) ** 2 + (q - part * along[1]) ** 2) - r
    return distance


def arc(u: Field, v: Field, x: float, y: float, r: float, thick: float) -> Field:
    return abs(circle(u, v, x, y, r)) - thick


def profile(*knots: tuple[float, float]) -> Callable[[Field, Field], Field]:
    """(v, half of the width there), from top to bottom, smoothly joined: what a potter turns."""
    from scipy.interpolate import PchipInterpolator

    at, width = np.array(knots).T
    steps = np.linspace(-1.5, 1.5, 769)
    curve = np.asarray(PchipInterpolator(at, width)(np.clip(steps, at[0], at[-1])))
    flat = (1 / np.sqrt(1 + np.gradient(curve, steps) ** 2)).astype(np.float32)
    curve, middle, half = curve.astype(np.float32), float(at[0] + at[-1]) / 2, float(at[-1] - at[0]) / 2

    def distance(u: Field, v: Field) -> Field:
        step = np.clip((v + 1.5) * 256, 0, 768).astype(np.int32)
        side = (abs(u) - curve.take(step)) * flat.take(step)
        whole: Field = np.maximum(side, abs(v - middle) - half)
        return whole

    return distance


def union(*parts: Field) -> Field:
    whole = parts[0]
    for part in parts[1:]:
        whole = np.minimum(whole, part)
    return whole


def melted(one: Field, other: Field, by: float = 0.12) -> Field:
    """Their union with a fillet."""
    near = np.maximum(by - abs(one - other), 0) / by
    return np.minimum(one, other) - near * near * (by / 4)


def without(one: Field, other: Field) -> Field:
    return np.maximum(one, -other)


_VASE = profile(
    (-0.98, 0.28), (-0.82, 0.2), (-0.6, 0.19), (-0.38, 0.27), (-0.1, 0.49), (0.18, 0.6), (0.45, 0.54), (0.75, 0.37), (0.98, 0.3)
)  # fmt: skip
_BOTTLE = profile((-0.98, 0.13), (-0.88, 0.13), (-0.5, 0.13), (-0.12, 0.38), (0.2, 0.4), (0.9, 0.4), (0.98, 0.36))
_CUP = profile((-0.6, 0.56), (0.1, 0.52), (0.45, 0.42), (0.66, 0.28), (0.7, 0.28))
_POT = profile((-0.42, 0.26), (-0.2, 0.5), (0.15, 0.6), (0.5, 0.46), (0.62, 0.34))
_FLOWERPOT = profile((0.1, 0.46), (0.26, 0.46), (0.36, 0.4), (0.98, 0.3))
_LAMPSHADE = profile((-0.95, 0.3), (-0.2, 0.62))
_FOOT = profile((0.2, 0.05), (0.45, 0.06), (0.62, 0.2), (0.82, 0.24), (0.96, 0.36))
_DRESS = profile((-0.62, 0.36), (-0.4, 0.34), (-0.12, 0.23), (0.2, 0.36), (0.96, 0.68))
_CROWN = profile((-0.5, 0.3), (-0.42, 0.38), (0.0, 0.44), (0.3, 0.5))
_GUITAR = profile((-0.2, 0.26), (-0.05, 0.36), (0.08, 0.36), (0.24, 0.28), (0.5, 0.44), (0.76, 0.46), (0.96, 0.24))


def vase(u: Field, v: Field) -> tuple[Field, Field]:
    return _VASE(u, v), ellipse(u, v, 0, -0.96, 0.27, 0.05)


def bottle(u: Field, v: Field) -> tuple[Field, Field]:
    return _BOTTLE(u, v), box(u, v, 0, -0.9, 0.16, 0.1, 0.03)


def cup(u: Field, v: Field) -> tuple[Field, Field]:
    handle = arc(u, v, 0.55, -0.08, 0.27, 0.07)
    return union(_CUP(u, v), handle), ellipse(u, v, 0, -0.58, 0.49, 0.07)


def teapot(u: Field, v: Field) -> tuple[Field, Field]:
    spout = bar(u, v, (-0.45, 0.2), (-0.9, -0.28), 0.09)
    body = union(melted(_POT(u, v), spout, 0.2), arc(u, v, 0.58, 0.06, 0.27, 0.065))
    return body, union(ellipse(u, v, 0, -0.42, 0.3, 0.08), circle(u, v, 0, -0.58, 0.1))


def lamp(u: Field, v: Field) -> tuple[Field, Field]:
    return _LAMPSHADE(u, v), union(bar(u, v, (0, -0.3), (0, 0.3), 0.04), _FOOT(u, v))


def bag(u: Field, v: Field) -> tuple[Field, Field]:
    grip = np.maximum(arc(u, v, 0, -0.22, 0.4, 0.05), v + 0.15)
    flap = np.maximum(abs(v - 0.06) - 0.025, abs(u) - 0.7)
    sides = abs(u) - 0.66 - 0.1 * v
    body = np.maximum(box(u, v, 0, 0.34, 0.78, 0.56, 0.16), sides)
    return body, union(grip, np.maximum(flap, body + 0.02), box(u, v, 0, 0.1, 0.09, 0.1, 0.03))


def chair(u: Field, v: Field) -> tuple[Field, Field]:
    back = without(box(u, v, 0, -0.5, 0.44, 0.46, 0.14), box(u, v, 0, -0.3, 0.26, 0.06, 0.05))
    seat = box(u, v, 0, 0.18, 0.54, 0.14, 0.07)
    legs = union(
        bar(u, v, (-0.44, 0.26), (-0.52, 0.94), 0.055), bar(u, v, (0.44, 0.26), (0.52, 0.94), 0.055),
        bar(u, v, (-0.28, 0.26), (-0.3, 0.8), 0.045), bar(u, v, (0.28, 0.26), (0.3, 0.8), 0.045),
    )  # fmt: skip
    return union(back, seat), legs


def sofa(u: Field, v: Field) -> tuple[Field, Field]:
    back = box(u, v, 0, -0.16, 0.8, 0.38, 0.18)
    arms = union(box(u, v, -0.82, 0.16, 0.16, 0.34, 0.14), box(u, v, 0.82, 0.16, 0.16, 0.34, 0.14))
    seat = box(u, v, 0, 0.3, 0.72, 0.2, 0.08)
    seams = np.maximum(union(abs(u), abs(v - 0.12)) - 0.018, box(u, v, 0, 0.28, 0.66, 0.2))
    feet = union(bar(u, v, (-0.76, 0.5), (-0.78, 0.64), 0.05), bar(u, v, (0.76, 0.5), (0.78, 0.64), 0.05))
    return union(back, arms, seat), union(seams, feet)


def shoe(u: Field, v: Field) -> tuple[Field, Field]:
    heel = box(u, v, -0.5, 0.02, 0.36, 0.44, 0.16)
    toe = np.maximum(ellipse(u, v, 0.32, 0.42, 0.6, 0.44), v - 0.44)
    mouth = ellipse(u, v, -0.5, -0.46, 0.28, 0.13)
    sole = box(u, v, 0.0, 0.48, 0.92, 0.09, 0.07)
    laces = union(bar(u, v, (-0.12, -0.1), (0.06, -0.24), 0.03), bar(u, v, (0.06, 0.02), (0.24, -0.12), 0.03))
    return without(melted(heel, toe, 0.35), mouth), union(sole, laces)


def dress(u: Field, v: Field) -> tuple[Field, Field]:
    straps = union(bar(u, v, (-0.24, -0.6), (-0.18, -0.95), 0.045), bar(u, v, (0.24, -0.6), (0.18, -0.95), 0.045))
    cut = without(_DRESS(u, v), ellipse(u, v, 0, -0.66, 0.2, 0.16))
    return union(cut, straps), np.maximum(abs(v + 0.12) - 0.05, cut)


def shirt(u: Field, v: Field) -> tuple[Field, Field]:
    sleeves = union(bar(u, v, (-0.4, -0.5), (-0.76, -0.06), 0.19), bar(u, v, (0.4, -0.5), (0.76, -0.06), 0.19))
    whole = without(union(box(u, v, 0, 0.1, 0.48, 0.8, 0.1), sleeves), ellipse(u, v, 0, -0.74, 0.2, 0.16))
    buttons = union(*(circle(u, v, 0, y, 0.04) for y in (-0.38, -0.08, 0.22, 0.52)))
    return whole, buttons


def clock(u: Field, v: Field) -> tuple[Field, Field]:
    bells = union(circle(u, v, -0.44, -0.74, 0.2), circle(u, v, 0.44, -0.74, 0.2))
    feet = union(bar(u, v, (-0.44, 0.6), (-0.6, 0.88), 0.08), bar(u, v, (0.44, 0.6), (0.6, 0.88), 0.08))
    hands = union(bar(u, v, (0, 0), (0, -0.46), 0.045), bar(u, v, (0, 0), (0.3, 0.14), 0.05))
    face = circle(u, v, 0, 0, 0.74)
    rim = abs(face + 0.07) - 0.04
    return union(face, bells), union(feet, hands, rim)


def plant(u: Field, v: Field) -> tuple[Field, Field]:
    leaves = union(
        ellipse(u, v, 0, -0.45, 0.17, 0.5), ellipse(u, v, -0.36, -0.28, 0.15, 0.48, -0.75),
        ellipse(u, v, 0.36, -0.28, 0.15, 0.48, 0.75), ellipse(u, v, -0.2, -0.4, 0.13, 0.46, -0.35),
        ellipse(u, v, 0.2, -0.4, 0.13, 0.46, 0.35),
    )  # fmt: skip
    pot = _FLOWERPOT(u, v)
    return pot, without(leaves, pot)


def hat(u: Field, v: Field) -> tuple[Field, Field]:
    brim = ellipse(u, v, 0, 0.3, 0.95, 0.19)
    crown = _CROWN(u, v)
    band = np.maximum(abs(v - 0.12) - 0.08, crown)
    return union(crown, brim), band


def guitar(u: Field, v: Field) -> tuple[Field, Field]:
    neck = union(box(u, v, 0, -0.5, 0.065, 0.5), box(u, v, 0, -0.88, 0.12, 0.12, 0.04))
    return _GUITAR(u, v), union(neck, circle(u, v, 0, 0.22, 0.13), box(u, v, 0, 0.7, 0.16, 0.035))


def umbrella(u: Field, v: Field) -> tuple[Field, Field]:
    dome = np.maximum(circle(u, v, 0, 0.0, 0.92), v - 0.02)
    cuts = union(*(circle(u, v, x, 0.1, 0.225) for x in (-0.69, -0.23, 0.23, 0.69)))
    hook = np.maximum(arc(u, v, 0.14, 0.76, 0.14, 0.045), 0.76 - v)
    stick = union(bar(u, v, (0, -0.1), (0, 0.76), 0.045), hook, bar(u, v, (0, -0.98), (0, -0.88), 0.04))
    body = without(dome, cuts)
    return body, without(stick, body)


def kite(u: Field, v: Field) -> tuple[Field, Field]:
    below = v + 0.35
    sail = (abs(u) + np.maximum(-below, below * 0.7) - 0.6) * 0.75
    tail = abs(u - 0.12 * np.sin(9 * v)) - 0.03
    knots = union(*(ellipse(u, v, 0.1 * np.sin(9 * y), y, 0.12, 0.06) for y in (0.6, 0.76, 0.92)))
    return sail, union(np.maximum(tail, abs(v - 0.72) - 0.26), knots)


def silhouette(kind: int) -> Shape:
    """In the order of things.SHAPES, then the new one."""
    return (
        vase, chair, lamp, bag, shoe, cup, dress, clock, plant, bottle, sofa, teapot, hat, guitar, umbrella, shirt, kite,
    )[kind]  # fmt: skip
