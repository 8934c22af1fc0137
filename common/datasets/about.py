"""What is known of a data set beside its format: one ABOUT in the __init__ of each data set's folder."""

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """Facts for a person who wants the data; where nothing certain is known, the field says so.

    title: one line for lists. source: where the real data come from. size: how much there is of it.
    licence: on which terms it is given out.
    """

    title: str
    source: str
    size: str
    licence: str
