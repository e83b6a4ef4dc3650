"""Numbers as the wire has them: the shortest text that a double reads back from, in ECMAScript's form."""

from __future__ import annotations

import math

from .paths import BadValue


def number_text(number: float) -> str:
    """`1e-7`, `0.1`, `42`: as JSON.stringify writes it (ECMA-262, Number::toString). Raises BadValue for NaN and
    infinities."""
    if not math.isfinite(number):
        raise BadValue(f"{number} has no encoding", "Use None or a string for it.")
    text = repr(float(number))
    if text == "0.0" or text == "-0.0":
        return "0"
    if "e" not in text:
        return text[:-2] if text.endswith(".0") else text
    sign = "-" if text[0] == "-" else ""
    mantissa, exponent = text.lstrip("-").split("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).rstrip("0")
    return sign + _place_point(digits, len(whole) + int(exponent))


def _place_point(digits: str, point: int) -> str:
    """The digits with the point after the first `point` of them, or with an exponent where that would be long."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    rest = f".{digits[1:]}" if count > 1 else ""
    return f"{digits[0]}{rest}e{'+' if point > 0 else '-'}{abs(point - 1)}"
