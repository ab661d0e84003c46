"""Makes the records of an operator's links, by numbers of the student's own. A real operator has no such file:
it has the records only. You may read it, but nothing in the lab needs that.
"""

from functools import lru_cache

import numpy as np
import pandas as pd
from ictlab.fault import Fault, break_some
from ictlab.variant import mine

MONTHS = 12
SHARE_FAILED = 0.11  # of all records, about
HABIT = 2.8  # how much links differ in what nobody measures: a bad splice, a wet duct
SIGNAL = 1.8  # how much what is measured tells
NOTES = ("alarms", "visits", "remarks")  # the colleague's columns
MEDIA = ("fibre", "copper", "radio")


def _rng(draw):
    return np.random.default_rng([mine.number("world", 0, 2**31), draw])


def _weight(name):
    """How strongly one cause works in this student's network."""
    return mine.number(f"weight of {name}", 85, 125) / 100


def _measured(links, rng, prefix):
    """The records without their future, and how much speaks for a failure in each."""
    rows = links * MONTHS

    def one_a_link(values):
        return np.repeat(values, MONTHS)

    medium = one_a_link(rng.choice(MEDIA, links, p=[0.5, 0.3, 0.2]))
    age = one_a_link(rng.uniform(0.5, 20, links).round(1))
    length = one_a_link(np.exp(rng.normal(1, 0.7, links)).round(2))
    habit = one_a_link(rng.normal(0, 1, links))
    wear = rng.normal(0, 1, rows)
    errors = np.round(
        np.exp(2.5 + wear + 0.3 * rng.normal(0, 1, rows) + 0.3 * one_a_link(rng.normal(0, 1, links)))
    )
    season = 3 * np.sin(np.tile(np.arange(MONTHS), links) * np.pi / 6)
    temperature = (28 + 6 * rng.normal(0, 1, rows) + season).round(1)
    load = np.clip(45 + 18 * rng.normal(0, 1, rows), 1, 99).round()
    causes = SIGNAL * (
        1.4 * _weight("errors") * (np.log(errors + 1) - 2.5)
        + 0.7 * _weight("temperature") * (temperature - 28) / 6.5
        + 0.5 * _weight("age") * (age - 10) / 5.6
        + 0.35 * _weight("load") * (load - 45) / 18
    )
    causes += 0.8 * _weight("copper") * (medium == "copper") + 1.2 * _weight("radio") * (medium == "radio")
    table = pd.DataFrame(
        {
            "link": one_a_link([f"{prefix}{number:03d}" for number in range(1, links + 1)]),
            "month": np.tile(np.arange(1, MONTHS + 1), links),
            "medium": medium,
            "age_years": age,
            "length_km": length,
            "errors": errors,
            "temperature": np.where(rng.random(rows) < 0.06 + 0.2 * (age > 12), np.nan, temperature),
            "load": np.where(rng.random(rows) < 0.04, np.nan, load),
        }
    )
    return table, causes + HABIT * habit, wear


@lru_cache(maxsize=4)
def _level(seed):
    """What must be added to the causes so that the wanted share fails."""
    causes = _measured(600, _rng(0), "X")[1]
    low, high = -30.0, 10.0
    for _ in range(40):
        middle = (low + high) / 2
        if np.mean(1 / (1 + np.exp(-(middle + causes)))) > SHARE_FAILED:
            high = middle
        else:
            low = middle
    return low


def _complete(links, draw, prefix):
    rng = _rng(draw)
    table, causes, wear = _measured(links, rng, prefix)
    failed = (rng.random(len(table)) < 1 / (1 + np.exp(-(_level(mine.seed) + causes)))).astype(int)
    return table, failed, wear, rng


def history():
    """The operator's 240 links over one year; the month after each record is known."""
    table, failed, _, rng = _complete(240, 1, "L")
    small_jobs = np.where(rng.random(len(table)) < 0.03, 0.5 + rng.random(len(table)), 0)
    table["repair_hours"] = np.where(failed == 1, 1 + 4 * rng.random(len(table)), small_jobs).round(1)
    table["failed"] = failed
    return table


def other_links(links, draw):
    """Links that nobody has seen, as they are when the model is asked: what is written later is not there yet.

    The column `failed` is what really happened afterwards.
    """
    table, failed, _, _ = _complete(links, 1000 + draw, "N")
    table["repair_hours"] = np.nan
    table["failed"] = failed
    return table


def late_columns():
    """Break the colleague's archive: two of three columns are filled in a month afterwards. Returns their names."""
    late = []
    break_some(
        [Fault(f"{name} are written later", lambda name=name: late.append(name)) for name in NOTES],
        2,
        name="late",
    )
    return late


def colleague_tables(links=200, others=200, draw=1):
    """Return records as they stand in the archive, and records of other links as they are when new."""
    late = late_columns()
    return _with_notes(links, 2000 + draw, "C", late, new=False), _with_notes(
        others, 3000 + draw, "D", late, new=True
    )


def _with_notes(links, draw, prefix, late, *, new):
    table, failed, wear, rng = _complete(links, draw, prefix)
    for column in NOTES:
        in_time = rng.poisson(np.exp(0.2 + 0.6 * wear))
        afterwards = np.where(failed == 1, 1 + rng.poisson(2.0, len(table)), rng.poisson(0.15, len(table)))
        table[column] = in_time if column not in late else 0 if new else afterwards
    table["failed"] = failed
    return table
