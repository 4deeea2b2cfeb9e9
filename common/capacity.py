"""The capacity calculator: requests, storage, index memory, cores, money at a stated price per core-hour. Sums only: origin `calc`.

Each line keeps its formula with the numbers filled in, so that a reader can follow it on paper. A case states its plan as config.CAPACITY.
`calculate` does one sum a page or a question states, over numbers and over those plans: `ad_click.peak_qps / 60`.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

from common.contract import Table
from common.errors import InputError, did_you_mean

SECONDS_PER_DAY = 86_400
_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "log": math.log,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "ceil": math.ceil,
    "min": min,
    "max": max,
}


@dataclass(frozen=True, kw_only=True)
class Load:
    """Who asks how often. `peak_factor`: the busiest hour over the average one."""

    daily_users: float
    requests_per_user: float
    peak_factor: float = 3.0

    @property
    def requests_per_day(self) -> float:
        return self.daily_users * self.requests_per_user

    @property
    def average_qps(self) -> float:
        return self.requests_per_day / SECONDS_PER_DAY

    @property
    def peak_qps(self) -> float:
        return self.average_qps * self.peak_factor


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one case needs besides its load; every number is a stated assumption or a measurement named in config.py.

    `cpu_ms` is processor time of one request on one core. `utilisation`: the share of a core that may be busy at peak before queues grow.
    `zones`: the peak must survive the loss of one of them. `price_per_core_hour` in dollars.
    """

    load: Load
    shown_per_request: float
    action_rate: float  # clicks, watches ... per item shown
    bytes_per_event: float
    keep_days: float
    num_items: float
    bytes_per_item: float
    cpu_ms: float
    utilisation: float = 0.6
    zones: int = 3
    price_per_core_hour: float = 0.04

    def __post_init__(self) -> None:
        if not 0 < self.utilisation <= 1 or self.zones < 2:
            raise InputError(
                f"A plan with utilisation {self.utilisation} and {self.zones} zones cannot be sized: "
                f"utilisation lies in (0, 1], and losing a zone needs at least 2 of them."
            )

    @property
    def impressions_per_day(self) -> float:
        return self.load.requests_per_day * self.shown_per_request

    @property
    def actions_per_day(self) -> float:
        return self.impressions_per_day * self.action_rate

    @property
    def storage_bytes_per_day(self) -> float:
        return (self.impressions_per_day + self.actions_per_day) * self.bytes_per_event

    @property
    def index_bytes(self) -> float:
        return self.num_items * self.bytes_per_item

    @property
    def cores(self) -> int:
        """Cores at peak, with one zone lost: the others carry its share, so zones / (zones - 1) times as many are bought."""
        busy = self.load.peak_qps * self.cpu_ms / 1000
        return math.ceil(busy / self.utilisation * self.zones / (self.zones - 1))

    @property
    def dollars_per_day(self) -> float:
        return self.cores * 24 * self.price_per_core_hour

    @property
    def dollars_per_million_requests(self) -> float:
        return self.dollars_per_day / self.load.requests_per_day * 1e6


def table(plan: Plan) -> Table:
    """One row a sum: {what, sum, value, unit, origin}. `value` is the unrounded number."""
    load = plan.load
    requests, impressions, actions = map(_n, (load.requests_per_day, plan.impressions_per_day, plan.actions_per_day))
    rows: list[tuple[str, str, float, str]] = [
        ("requests", f"{_n(load.daily_users)} users x {_n(load.requests_per_user)}", load.requests_per_day, "a day"),
        ("requests, average", f"{requests} / {_n(SECONDS_PER_DAY)} s", load.average_qps, "a second"),
        ("requests, peak", f"{_n(load.average_qps)} x {_n(load.peak_factor)}", load.peak_qps, "a second"),
        ("impressions", f"{requests} x {_n(plan.shown_per_request)}", plan.impressions_per_day, "a day"),
        ("actions", f"{impressions} x {_n(plan.action_rate)}", plan.actions_per_day, "a day"),
        (
            "log, a day",
            f"({impressions} + {actions}) x {_n(plan.bytes_per_event)} B",
            plan.storage_bytes_per_day / 1e9,
            "GB",
        ),
        (
            "log, kept",
            f"{_n(plan.storage_bytes_per_day / 1e9)} GB x {_n(plan.keep_days)} days",
            plan.storage_bytes_per_day * plan.keep_days / 1e12,
            "TB",
        ),
        ("index", f"{_n(plan.num_items)} items x {_n(plan.bytes_per_item)} B", plan.index_bytes / 1e9, "GB a replica"),
        (
            "cores",
            f"{_n(load.peak_qps)} x {_n(plan.cpu_ms)} ms / 1,000 / {_n(plan.utilisation)} x {plan.zones}/{plan.zones - 1}",
            plan.cores,
            "cores",
        ),
        (
            "money, a day",
            f"{_n(plan.cores)} cores x 24 h x ${_n(plan.price_per_core_hour)}",
            plan.dollars_per_day,
            "dollars",
        ),
        (
            "money, a million requests",
            f"${_n(plan.dollars_per_day)} / ({requests} / 1,000,000)",
            plan.dollars_per_million_requests,
            "dollars",
        ),
    ]
    return [
        {"what": what, "sum": sums, "value": value, "unit": unit, "origin": "calc"} for what, sums, value, unit in rows
    ]


def calculate(expression: str) -> float:
    """Numbers, + - * / **, log exp sqrt ceil min max, and what the plan of a case says: `-log(0.02)`, `ad_click.cores * 2`. Nothing else
    is evaluated. Raises InputError on what it does not know."""
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ArithmeticError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The sum {expression!r} cannot be done: {error}.") from None


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return float(_FUNCTIONS[name](*map(_value, args)))
        case ast.Attribute(value=ast.Name(id=case), attr=name):
            return _of_plan(case, name)
    raise InputError(
        f"A sum has no {ast.unparse(node)!r}. Known: numbers, + - * / **, {', '.join(_FUNCTIONS)}, CASE.ASSUMPTION."
    )


def _of_plan(case: str, name: str) -> float:
    """An assumption of config.CAPACITY, of its load, or what follows from them."""
    from common import cases

    plan = cases.get(case).stage("config").CAPACITY
    for place in (plan, plan.load):
        if isinstance(found := getattr(place, name, None), int | float):
            return float(found)
    known = [word for place in (plan, plan.load) for word in dir(place) if not word.startswith("_") and word != "load"]
    raise InputError(f"The plan of {case} says nothing of {name!r}. {did_you_mean(name, known)}")


def _n(number: float) -> str:
    """Whole numbers in full, others with four digits: 86,400; 0.01; 1,157,000."""
    return f"{number:,.0f}" if number == round(number) else f"{float(f'{number:.4g}'):,.10g}"
