"""Drawings: how each thing beside the ground looks from its front, its back and its sides.

Everything that stands on the ground is a box with a drawing on each of its four faces. A letter of
a drawing is a material of the thing's set (see `palette.py`), a dot is nothing: one looks past it.
So a car's bonnet is lower than its roof although both belong to one box. A last line of "s" is the
shadow at its feet.

To try
------
Draw another car: change the letters below. The rows of a drawing share its height evenly, and its
columns share the box's length (or, in buildings, have a fixed width and repeat).
"""

from __future__ import annotations

from dataclasses import dataclass

from sims.driving import palette


@dataclass(frozen=True)
class Drawing:
    """Rows of letters from the top down, `height` metres in all; the feet are at 0.

    `column` is a column's width in metres where the drawing repeats, or 0 where it is stretched.
    """

    art: str
    height: float
    materials: dict[str, palette.Material]
    column: float = 0.0


@dataclass(frozen=True)
class Thing:
    """A kind of thing: its drawings and how it meets the LiDAR.

    `faces` are front, back, left and right (one: all the same). `paint` is the first of its
    `paints` sets of materials. A `billboard` always turns to who looks. `shade` darkens its back
    and right face. The LiDAR hits it from `low` to `height` metres, and nothing under 0.
    """

    name: str
    faces: tuple[Drawing, ...]
    paint: int
    paints: int = 1
    billboard: bool = False
    shade: bool = False
    size: tuple[float, float] = (0.0, 0.0)  # Length and width, where they are always the same.
    height: float = 0.0


_VEHICLE = palette.vehicle(*palette.PAINTS[0])
_PERSON = palette.person(*palette.CLOTHES[0])
_PLANT = palette.plant(palette.LEAVES[0])
_BUILDING = palette.building(*palette.WALLS[0])

CAR_SIDE = """
......bbbbbbbbb.....
.....bWwwwbwwwwb....
....bWwwwwbwwwwwb...
...bWwwwwwbwwwwwwbb.
hbbbbbbbbbbbbbbbbbbr
hBBBBBBBBBBBBBBBBBBr
BBBkkkBBBBBBBBkkkBBB
cBkkkkkBBBBBBkkkkkBc
cdkkgkkddddddkkgkkdc
..kkkkk......kkkkk..
ssssssssssssssssssss
"""
CAR_FRONT = """
..bbbbbb..
.bWwwwwwb.
.bWwwwwwb.
bWWwwwwwwb
bbbbbbbbbb
hhBBBBBBhh
hhBccccBhh
BBBBBBBBBB
dccccccccd
kk......kk
ssssssssss
"""
CAR_BACK = """
..bbbbbb..
.bwwwwwwb.
.bwwwwwwb.
bWwwwwwwwb
bbbbbbbbbb
rrBBBBBBrr
rrBBWWBBrr
BBBBBBBBBB
dccccccccd
kk......kk
ssssssssss
"""
CAR_BRAKING = CAR_BACK.replace(".bwwwwwwb.\n.b", ".bwRRRRwb.\n.b").replace("r", "R")
VAN_SIDE = """
....bbbbbbbbbbbbbbbbbbbb
...bBBBBBBBBBBBBBBBBBBBB
..bwwwbBBBBBBBBBBBBBBBBB
..bwwwbBBBBBBBBBBBBBBBBB
.bWwwwbBBBBBBBBBBBBBBBBB
bbbbbbbBBBBBBBBBBBBBBBBr
hBBBBBBBBBBBBBBBBBBBBBBr
hBBBBBBddddddddddddddddd
BBBkkkBBBBBBBBBBBkkkBBBB
cBkkkkkBBBBBBBBBkkkkkBBc
cdkkgkkdddddddddkkgkkddc
..kkkkk.........kkkkk...
ssssssssssssssssssssssss
"""
VAN_FRONT = """
.bbbbbbbb.
bBBBBBBBBb
bWwwwwwwwb
bWwwwwwwwb
bWWwwwwwwb
bbbbbbbbbb
hhBBBBBBhh
hhBccccBhh
BBBBBBBBBB
BccccccccB
dccccccccd
kk......kk
ssssssssss
"""
VAN_BACK = """
.bbbbbbbb.
bBBBBdBBBb
bwwwBdBwwb
bwwwBdBwwb
bBBBBdBBBb
bBBBBdBBBb
rrBBBdBBrr
rrBBBdBBrr
BBBBWWWBBB
BBBBBdBBBB
dccccccccd
kk......kk
ssssssssss
"""
VAN_BRAKING = VAN_BACK.replace(".bbbbbbbb.", ".bbRRRRbb.").replace("r", "R")
CYCLIST_SIDE = """
....eff...
....fff...
...BBB....
..BBBBBd..
.ffBBBBd..
ff..BBBp..
.c..ppppp.
.kk.pp.kk.
k..kpgk..k
k.gkkpk..k
k..kpkk..k
.kk.p..kk.
sssssssss.
""".replace("c", "k")
CYCLIST_SIDE_2 = CYCLIST_SIDE.replace("k..kpgk..k", "k..kgpk..k").replace("k..kpkk", "k..kkpk")
CYCLIST_FRONT = """
..ee..
..ff..
.BBBB.
BBBBBB
BBBBBB
f.BB.f
.hppp.
..pp..
..kkp.
..kk..
..kk..
..kk..
.ssss.
"""
CYCLIST_BACK = CYCLIST_FRONT.replace("f.BB.f", "d.BB.d").replace(".hppp.", ".prrp.").replace(
    "..ff..", "..jj.."
)
WALKER = """
..jj..
..ff..
..ff..
.BBBB.
BBBBBB
BBBBBB
B.BB.B
f.dd.f
..pp..
..pp..
.pppp.
.p..p.
kk..kk
ssssss
"""
WALKER_2 = WALKER.replace(".pppp.\n.p..p.\nkk..kk", "..pp..\n..pp..\n..kkk.").replace(
    "B.BB.B\nf.dd.f", ".BBBB.\n.fddf."
)
TREE = """
.....yyyy.....
...yymmmyyy...
..ymmmymmmmy..
.ymmymmmmymmm.
.ymmmmmnmmmmm.
ymmnmmmmmmymmm
ymmmmymmnmmmmn
mmymmmmmmmmnmn
mmmmmnmmmmmmnn
.mmnmmmmnmmnn.
.mmmmmnmmmnnn.
..nmmnnnmnnn..
...nnnuvnnn...
......uv......
......uv......
......uv......
......uv......
......uv......
....ssssss....
"""
PINE = """
.....y.....
....ymn....
....ymn....
...ymmmn...
...mmnmn...
..ymmmmnn..
..ymmnmmn..
.ymmmmmmnn.
..mmnmmmn..
.ymmmmnmmn.
ymmmmmmmmnn
.mmnmmmnmn.
ymmmmnmmmmn
mmmmmmmmnnn
.nnnmnnnnn.
.....v.....
.....v.....
...sssss...
"""
BUSH = """
...yyy....
.yymmmyy..
ymmmymmmmn
mmymmmmmnn
nmmmnmmnnn
ssssssssss
"""
POLE = """
....g...
....g...
....g...
....g...
....g...
....g...
....g...
....g...
...ss...
"""
STOP = (
    """
..rrrr..
.rrrrrr.
rrrrrrrr
rwwwwwwr
rwwwwwwr
rrrrrrrr
.rrrrrr.
..rrrr..
"""
    + POLE
)
ROUND = (
    """
..uuuu..
.uwwwuu.
uwuuuuwu
uwuuuwww
uwwuuuwu
uuwuuwuu
.uuwwwu.
..uuuu..
"""
    + POLE
)
SPEED_50 = (
    """
..rrrr..
.rwwwwr.
rkkwkkkr
rkwwkwkr
rwkwkwkr
rkkwkkkr
.rwwwwr.
..rrrr..
"""
    + POLE
)
SPEED_30 = SPEED_50.replace("rkkwkkkr\nrkwwkwkr", "rkkwkkkr\nrwkwkwkr")
SIGN_BACK = (
    """
..GGGG..
.GGGGGG.
GGGGGGGG
GGGgGGGG
GGGgGGGG
GGGGGGGG
.GGGGGG.
..GGGG..
"""
    + POLE
)
_HEAD = """
wkkkkw
k1111k
k1111k
k1111k
k2222k
k2222k
k2222k
k3333k
k3333k
k3333k
wkkkkw
..gg..
..gg..
..gg..
..gg..
..gg..
..gg..
..gg..
.ssss.
"""


def _head(red: str, amber: str, green: str) -> str:
    """Return the drawing of a traffic light whose lamps are these letters."""
    return _HEAD.replace("1", red).replace("2", amber).replace("3", green)


HOUSE = """
oooooooo
oooooooo
oooooooo
tttttttt
aaaaaaaa
awwaalla
awwaalla
awwaalla
aaaaaaaa
xxxxxxxx
aaaaaaaa
allaapaa
allaapaa
aaaaapaa
"""
FLATS = """
tttttttt
xxxxxxxx
aaaaaaaa
awwaalla
awwaalla
aaaaaaaa
xxxxxxxx
allaawwa
allaawwa
aaaaaaaa
xxxxxxxx
awwaawwa
awwaawwa
aaaaaaaa
xxxxxxxx
awwwwppa
awwwwppa
xwwwwppx
"""
OFFICE = """
tttttttt
wwtwwtww
wwtlltww
xxxxxxxx
wwtwwtll
wwtwwtll
xxxxxxxx
lltwwtww
lltwwtww
xxxxxxxx
wwtlltww
wwtlltww
xxxxxxxx
wwtwwtww
wwtwwtww
xxxxxxxx
wwtlltww
wwtlltww
xxxxxxxx
aaaaaaaa
allllppa
allllppa
aaaaappa
"""


def _all(materials: dict[str, palette.Material], height: float, *arts: str) -> tuple[Drawing, ...]:
    return tuple(Drawing(art, height, materials) for art in arts)


def _sign(name: str, art: str) -> Thing:
    faces = _all(palette.SIGN, 3.0, art, SIGN_BACK, POLE, POLE)
    return Thing(name, faces, palette.SIGN_SET, size=(0.12, 1.1), height=3.0)


def _light(name: str, *lamps: str) -> Thing:
    faces = _all(palette.SIGNAL, 5.2, _head(*lamps), _head("k", "k", "k"))
    side = _all(palette.SIGNAL, 5.2, _head("k", "k", "k"))
    return Thing(name, faces + side + side, palette.SIGNAL_SET, size=(0.3, 1.0), height=5.2)


def _walls(name: str, art: str, height: float) -> Thing:
    face = Drawing(art, height, _BUILDING, column=0.8)
    return Thing(name, (face,), palette.BUILDING_SET, len(palette.WALLS), shade=True, height=height)


def _vehicle(name: str, side: str, front: str, back: str, height: float) -> Thing:
    faces = _all(_VEHICLE, height, front, back, side, side)
    return Thing(name, faces, palette.VEHICLE_SET, len(palette.PAINTS), height=height)


def _person(name: str, height: float, *arts: str) -> Thing:
    faces = _all(_PERSON, height, *arts)
    return Thing(name, faces, palette.PERSON_SET, len(palette.CLOTHES), height=height)


def _plant(name: str, art: str, height: float, width: float) -> Thing:
    faces = _all(_PLANT, height, art)
    return Thing(
        name, faces, palette.PLANT_SET, len(palette.LEAVES), True, size=(0.2, width), height=height
    )


_BICYCLE = (CYCLIST_FRONT, CYCLIST_BACK)
THINGS = (
    Thing("nothing", (Drawing(".", 1.0, {}),), 0),
    _vehicle("car", CAR_SIDE, CAR_FRONT, CAR_BACK, 1.5),
    _vehicle("braking car", CAR_SIDE, CAR_FRONT, CAR_BRAKING, 1.5),
    _vehicle("van", VAN_SIDE, VAN_FRONT, VAN_BACK, 2.6),
    _vehicle("braking van", VAN_SIDE, VAN_FRONT, VAN_BRAKING, 2.6),
    _person("cyclist", 1.75, *_BICYCLE, CYCLIST_SIDE, CYCLIST_SIDE),
    _person("cyclist, pedal down", 1.75, *_BICYCLE, CYCLIST_SIDE_2, CYCLIST_SIDE_2),
    _person("walker", 1.75, WALKER),
    _person("walker, feet together", 1.75, WALKER_2),
    _walls("house", HOUSE, 7.0),
    _walls("flats", FLATS, 10.5),
    _walls("office", OFFICE, 15.0),
    _plant("tree", TREE, 6.4, 4.6),
    _plant("pine", PINE, 7.5, 3.6),
    _plant("bush", BUSH, 1.1, 1.8),
    _sign("stop", STOP),
    _sign("roundabout ahead", ROUND),
    _sign("speed 50", SPEED_50),
    _sign("speed 30", SPEED_30),
    _light("red", "r", "o", "o"),
    _light("amber", "o", "a", "o"),
    _light("green", "o", "o", "v"),
)
NUMBER = {thing.name: i for i, thing in enumerate(THINGS)}
