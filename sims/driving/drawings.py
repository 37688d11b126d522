"""Drawings: the front, the back and the sides of everything on the ground.

Everything on the ground is a box with a drawing on each of its four faces (see `things.py`). A
letter of a drawing is a material of the thing's set (see `palette.py`). A dot is empty, so that the
background shows. A car's bonnet can therefore be lower than its roof, although both belong to one
box. A last line of "s" is the shadow at its feet.

To try
------
Draw another car: change the letters below. The rows of a drawing divide its height evenly. Its
columns divide the box's length (or, for buildings, have a fixed width and repeat).
"""

from __future__ import annotations

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
CAR_BRAKING = """
..bbbbbb..
.bRRRRRRb.
.bwwwwwwb.
bWwwwwwwwb
bbbbbbbbbb
RRRBBBBRRR
RRRBWWBRRR
RRBBBBBBRR
dccccccccd
kk......kk
ssssssssss
"""
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
VAN_BRAKING = """
.bRRRRRRb.
bBRRRRRRBb
bwwwBdBwwb
bwwwBdBwwb
bBBBBdBBBb
RRBBBdBBRR
RRRBBdBRRR
RRRBBdBRRR
RRBBWWWBRR
BBBBBdBBBB
dccccccccd
kk......kk
ssssssssss
"""
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
CYCLIST_BACK = (
    CYCLIST_FRONT.replace("f.BB.f", "d.BB.d")
    .replace(".hppp.", ".prrp.")
    .replace("..ff..", "..jj..")
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
LIGHT = """
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
