"""Write a game of a driving sim as ASAM OpenSCENARIO XML 1.2.

Road users drive as they did in the sim: each follows its trajectory. The driven vehicle, `ego`, has
a start alone, for the driver who is tested. The town is left out: the format has roads of their own
(ASAM OpenDRIVE), and the sim's ground is level. https://www.asam.net/standards/detail/openscenario
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sims.contract import Array, Sim
from sims.road_users import BICYCLE, CAR, NOBODY, PEDESTRIAN, VAN, RoadUsers, Tell

CATEGORIES = {CAR: "car", VAN: "van", BICYCLE: "bicycle", PEDESTRIAN: "pedestrian"}
WEIGHT = 75  # kilograms of a pedestrian
AXLES = 0.62  # of a vehicle's length is between its axles
WHEEL = 0.65  # metres
STEERING = 0.6  # radians
QUICKEST = {CAR: 40.0, VAN: 35.0, BICYCLE: 12.0}  # m/s
JUMP = 3.0  # metres in a step: a place that jumps farther is another user's from then on
DATE = "2000-01-01T00:00:00"  # The same game is the same file.
EGO = "ego"
MARK = 'author="wmsite"'


@dataclass(frozen=True)
class Track:
    """One road user, from the step in which it appears: places [T, 3] of its reference point."""

    name: str
    kind: int
    size: Array
    first: int
    places: Array
    speed: float
    leaves: bool  # before the game is over


def tracks(told: Sequence[RoadUsers]) -> list[Track]:
    """Return the road users of one game's moments, of the first world; the driven one first."""
    found: list[Track] = []
    kinds = np.stack([one.kind[0] for one in told])
    places = np.stack([one.place[0] for one in told])
    for user in range(kinds.shape[1]):
        start = 0
        for step in range(1, len(told) + 1):
            same = step < len(told) and kinds[step, user] == kinds[start, user] and (
                np.hypot(*(places[step, user, :2] - places[step - 1, user, :2])) < JUMP
            )  # fmt: skip
            if same:
                continue
            if (kind := int(kinds[start, user])) != NOBODY:
                number = sum(track.kind == kind and track.name != EGO for track in found)
                name = f"{CATEGORIES[kind]}-{number + 1}" if user else EGO
                size = told[start].size[0, user]
                moved = _reference(places[start:step, user], kind, size)
                speed = float(told[start].speed[0, user])
                found.append(Track(name, kind, size, start, moved, speed, step < len(told)))
            start = step
    return found


def _reference(places: Array, kind: int, size: Array) -> Array:
    """Return places of the point that the format calls a user's: a vehicle's rear axle."""
    back = 0.0 if kind == PEDESTRIAN else AXLES * float(size[0]) / 2
    moved = places.copy()
    moved[:, 0] -= back * np.cos(places[:, 2])
    moved[:, 1] -= back * np.sin(places[:, 2])
    moved[:, 2] = np.unwrap(places[:, 2])
    return moved


def game(sim_class: type[Sim], tell: Tell, seed: int, scenario: str, steps: int) -> list[RoadUsers]:
    """Play a game by the first behaviour; return who is on the road at its start and each step."""
    sim = sim_class(1)
    sim.reset(np.array([seed], np.int64), scenario)
    told = [tell(sim.snapshot())]
    for _ in range(steps):
        _, terminated, truncated = sim.step(sim.act(sim.spec.behaviours[0]))
        told.append(tell(sim.snapshot()))
        if terminated[0] or truncated[0]:
            break
    return told


def document(told: Sequence[RoadUsers], rate: float, title: str) -> str:
    """Return the moments of a game, `rate` a second, as the text of an .xosc file."""
    root = ET.Element("OpenSCENARIO")
    _add(root, "FileHeader", revMajor=1, revMinor=2, date=DATE, description=title, author="wmsite")
    for name in ("CatalogLocations", "RoadNetwork"):
        _add(root, name)
    found = tracks(told)
    entities = _add(root, "Entities")
    for track in found:
        _entity(_add(entities, "ScenarioObject", name=track.name), track)
    board = _add(root, "Storyboard")
    actions = _add(_add(board, "Init"), "Actions")
    _environment(actions, told[0])
    for track in found:
        if not track.first:
            _begin(_add(actions, "Private", entityRef=track.name), track)
    others = [track for track in found if track.name != EGO]
    if others:
        act = _add(_add(board, "Story", name="traffic"), "Act", name="traffic")
        for track in others:
            _follow(act, track, rate)
        _at(_add(act, "StartTrigger"), 0.0)
    _at(_add(board, "StopTrigger"), (len(told) - 1) / rate)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add(parent: ET.Element, tag: str, /, **attributes: object) -> ET.Element:
    return ET.SubElement(parent, tag, {key: _text(value) for key, value in attributes.items()})


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _entity(parent: ET.Element, track: Track) -> None:
    """Describe a road user: its box, and of a vehicle what the format demands."""
    length, width, height = (float(part) for part in track.size)
    category = CATEGORIES[track.kind]
    if track.kind == PEDESTRIAN:
        one = _add(parent, "Pedestrian", name=category, mass=WEIGHT, pedestrianCategory=category)
        middle = 0.0
    else:
        one = _add(parent, "Vehicle", name=category, vehicleCategory=category)
        middle = AXLES * length / 2
    box = _add(one, "BoundingBox")
    _add(box, "Center", x=middle, y=0.0, z=height / 2)
    _add(box, "Dimensions", width=width, length=length, height=height)
    if track.kind != PEDESTRIAN:
        _add(one, "Performance", maxSpeed=QUICKEST[track.kind], maxAcceleration=4.0,
             maxDeceleration=9.0)  # fmt: skip
        axles = _add(one, "Axles")
        for name, steers, at in (("FrontAxle", STEERING, 2 * middle), ("RearAxle", 0.0, 0.0)):
            _add(axles, name, maxSteering=steers, wheelDiameter=WHEEL, trackWidth=0.85 * width,
                 positionX=at, positionZ=WHEEL / 2)  # fmt: skip
    _add(one, "Properties")


def _environment(actions: ET.Element, first: RoadUsers) -> None:
    """Describe the weather and the time of the day."""
    action = _add(_add(actions, "GlobalAction"), "EnvironmentAction")
    around = _add(action, "Environment", name="air")
    hour = int(first.hour[0])
    _add(around, "TimeOfDay", animation=False, dateTime=f"{DATE[:11]}{hour:02d}:00:00")
    weather = _add(around, "Weather")
    _add(weather, "Fog", visualRange=float(first.visibility[0]))
    rain = float(first.rain[0])
    _add(weather, "Precipitation", precipitationIntensity=rain,
         precipitationType="rain" if rain else "dry")  # fmt: skip
    _add(around, "RoadCondition", frictionScaleFactor=1.0)


def _begin(private: ET.Element, track: Track) -> None:
    """Put a road user at its first place, with its speed."""
    teleport = _add(_add(private, "PrivateAction"), "TeleportAction")
    _place(_add(teleport, "Position"), track.places[0])
    action = _add(_add(private, "PrivateAction"), "LongitudinalAction")
    speed = _add(action, "SpeedAction")
    _add(speed, "SpeedActionDynamics", dynamicsShape="step", value=0.0, dynamicsDimension="time")
    _add(_add(speed, "SpeedActionTarget"), "AbsoluteTargetSpeed", value=track.speed)


def _place(position: ET.Element, place: Array) -> None:
    x, y, heading = (float(part) for part in place)
    _add(position, "WorldPosition", x=x, y=y, z=0.0, h=heading, p=0.0, r=0.0)


def _follow(act: ET.Element, track: Track, rate: float) -> None:
    """Let a road user drive as it did; one that comes later or goes earlier does so, too."""
    group = _add(act, "ManeuverGroup", name=track.name, maximumExecutionCount=1)
    _add(_add(group, "Actors", selectTriggeringEntities=False), "EntityRef", entityRef=track.name)
    maneuver = _add(group, "Maneuver", name=track.name)
    for event, action in _events(maneuver, track, rate):
        if event != "drives":
            entity = _add(_add(action, "GlobalAction"), "EntityAction", entityRef=track.name)
            if event == "leaves":
                _add(entity, "DeleteEntityAction")
            else:
                _place(_add(_add(entity, "AddEntityAction"), "Position"), track.places[0])
            continue
        routing = _add(_add(action, "PrivateAction"), "RoutingAction")
        follow = _add(routing, "FollowTrajectoryAction")
        path = _add(_add(follow, "TrajectoryRef"), "Trajectory", name=track.name, closed=False)
        line = _add(_add(path, "Shape"), "Polyline")
        for k, place in enumerate(track.places):
            _place(_add(_add(line, "Vertex", time=(track.first + k) / rate), "Position"), place)
        _add(_add(follow, "TimeReference"), "Timing", domainAbsoluteRelative="absolute",
             scale=1.0, offset=0.0)  # fmt: skip
        _add(follow, "TrajectoryFollowingMode", followingMode="position")


def _events(maneuver: ET.Element, track: Track, rate: float) -> Iterator[tuple[str, ET.Element]]:
    """Yield the events of a road user, each with its action, which is still empty."""
    ends = track.first + len(track.places)
    when = {
        "appears": (track.first, track.first > 0),
        "drives": (track.first, len(track.places) > 1),
        "leaves": (ends, track.leaves),
    }
    for name, (step, happens) in when.items():
        if happens:
            event = _add(maneuver, "Event", name=f"{track.name} {name}", priority="override")
            yield name, _add(event, "Action", name=f"{track.name} {name}")
            _at(_add(event, "StartTrigger"), step / rate)


def _at(trigger: ET.Element, seconds: float) -> None:
    """Fire a trigger from a time on."""
    condition = _add(_add(trigger, "ConditionGroup"), "Condition", name=f"{seconds:g} s",
                     delay=0.0, conditionEdge="none")  # fmt: skip
    value = _add(condition, "ByValueCondition")
    _add(value, "SimulationTimeCondition", value=float(seconds), rule="greaterOrEqual")
