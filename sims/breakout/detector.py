"""The functions that read, compare and judge Breakout's frames."""

from __future__ import annotations

from sims.breakout import objects, relabel, rules
from sims.detector import Detector

DETECTOR = Detector(
    read=objects.read,
    truth=objects.truth,
    compare=objects.compare,
    labels=objects.LABELS,
    held="ball_held",
    controlled=objects.controlled,
    control_label="paddle within 1 px of the sim's after each action held for 8 steps",
    events=objects.events,
    event_labels=objects.EVENTS,
    referee=rules.Referee,
    rules=rules.RULES,
    act=rules.act,
    over=rules.over,
    statistics=rules.statistics,
    statistic_labels=rules.STATISTICS,
    places=rules.places,
    adopt=relabel.adopt,
)
