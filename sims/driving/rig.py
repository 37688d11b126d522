"""The car's equipment: its cameras, its LiDAR, its controls and its sensors.

Everything is in metres, seconds and radians. Places are metres forward, left and up of the car's
middle on the ground. Angles are to the left of straight ahead, or up.
"""

from __future__ import annotations

import math

from sims.contract import Axis, Camera, Sensor

RATE = 20  # Steps a second.
DT = 1 / RATE

# The ego vehicle's box.
LENGTH, WIDTH, HEIGHT = 4.2, 1.8, 1.5
WHEELBASE = 2.6
MAX_STEER = 0.6  # The largest angle of the front wheels in radians.

_DEGREE = math.pi / 180
_SEAT = (1.2, 0.0, 1.5)
CAMERAS = (
    Camera("front", 64, 96, focal=50.0, place=_SEAT),
    Camera("left", 64, 96, focal=50.0, place=_SEAT, yaw=60 * _DEGREE),
    Camera("right", 64, 96, focal=50.0, place=_SEAT, yaw=-60 * _DEGREE),
)

# The LiDAR: rings from the highest down, columns from behind, over the left, back to behind.
LIDAR_PLACE = (0.0, 0.0, 1.8)
LIDAR_RINGS, LIDAR_COLUMNS = 16, 128
LIDAR_RANGE = 60.0
LIDAR_ELEVATIONS = tuple((4 - 1.4 * ring) * _DEGREE for ring in range(LIDAR_RINGS))

AXES = (
    Axis(
        "steer",
        -1.0,
        1.0,
        "share, + is left",
        increase=("ArrowLeft", "KeyA"),
        decrease=("ArrowRight", "KeyD"),
        gamepad="axis0-",
        pace=2.5,
        touch=("▶", "◀"),
    ),
    Axis(
        "throttle",
        0.0,
        1.0,
        "share",
        increase=("ArrowUp", "KeyW"),
        gamepad="r2",
        pace=4.0,
        touch=("▲",),
    ),
    Axis(
        "brake",
        0.0,
        1.0,
        "share",
        increase=("ArrowDown", "KeyS", "Space"),
        gamepad="l2",
        pace=5.0,
        touch=("▼",),
    ),
)

WAYPOINTS = 10
WAYPOINT_GAP = 5.0  # Metres along the route between two waypoints.
LEAD_RANGE = 48.0  # Without a vehicle ahead within this distance, the sensor shows this value.

SENSORS = (
    Sensor("speed", (1,), "float32", "m/s", 0.0, 25.0, "how fast it drives", show="gauge"),
    Sensor("acceleration", (1,), "float32", "m/s^2", -10.0, 5.0, "along its heading", show="gauge"),
    Sensor("yaw_rate", (1,), "float32", "rad/s", -2.0, 2.0, "how fast it turns, + is left"),
    Sensor(
        "steering",
        (1,),
        "float32",
        "rad",
        -MAX_STEER,
        MAX_STEER,
        "angle of the front wheels, + is left",
        show="gauge",
    ),
    Sensor("lateral_offset", (1,), "float32", "m", -20.0, 20.0, "left of the middle of its lane"),
    Sensor("heading_error", (1,), "float32", "rad", -3.2, 3.2, "its heading, left of the lane's"),
    Sensor(
        "lead_distance",
        (1,),
        "float32",
        "m",
        0.0,
        LEAD_RANGE,
        f"free way to what drives ahead in its lane; {LEAD_RANGE:.0f}: nothing",
        show="gauge",
    ),
    Sensor(
        "waypoints",
        (WAYPOINTS, 2),
        "float32",
        "m",
        -80.0,
        80.0,
        f"the route's next points, {WAYPOINT_GAP:.0f} m apart: forward, left",
        show="path",
    ),
    Sensor(
        "lidar",
        (LIDAR_RINGS, LIDAR_COLUMNS),
        "float32",
        "m",
        0.0,
        LIDAR_RANGE,
        "range image; 0: nothing came back",
        show="scan",
        place=LIDAR_PLACE,
        elevations=LIDAR_ELEVATIONS,
    ),
)

EVENTS = (
    "collision_vehicle",
    "collision_cyclist",
    "collision_pedestrian",
    "collision_static",
    "off_road",
    "red_light",
    "goal",
)
CONDITIONS = ("clear", "rain", "fog", "dusk")
