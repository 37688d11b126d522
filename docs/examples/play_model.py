"""Play a world's model in Python: NumPy, onnxruntime, Pillow, and one folder of the built site.

python play_model.py site/wm/worlds/breakout-0123456789ab
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

folder = Path(sys.argv[1])
world = json.loads((folder / "world.json").read_text(encoding="utf-8"))
model = world["models"][0]  # the one that the page begins with
graph = next(v for v in model["variants"] if v["name"] == "fp32")
session = onnxruntime.InferenceSession(folder / graph["step"]["url"])

# A start: what the simulator shows first. Its source lies in the same folder.
sys.path.insert(0, str(folder))
from sims.host import Host  # noqa: E402

sim = Host(world["sim"]["module"])
names = json.loads(sim.layout)
sensors = sim.status[[name.startswith("sensor.") for name in names]].astype(np.float32)

feeds = {t["name"]: np.zeros(t["shape"], t["dtype"]) for t in model["inputs"]}
feeds["state_frame"][:] = sim.frame
if "state_sensors" in feeds:
    feeds["state_sensors"][:] = sensors
# What other languages start from: the frame's bytes, then the sensors as float32.
Path("start.bin").write_bytes(sim.frame.tobytes() + sensors.tobytes())

rng = np.random.default_rng(0)
outputs = [t["name"] for t in model["outputs"]]
score = 0.0
for _ in range(30):
    feeds["action"][:] = 0
    feeds["action"][0, rng.integers(feeds["action"].shape[1])] = 1  # one key of spec.actions
    if "chance" in feeds:
        feeds["chance"][:] = rng.random(feeds["chance"].shape)
    out = dict(zip(outputs, session.run(outputs, feeds), strict=True))
    for state in model["state"]:  # what the model carries into its next step
        feeds[state["input"]] = out[state["output"]]
    score += float(out["reward"][0])

Image.fromarray(out["frame"][0, 0, :, :, :3]).save("after-30-steps.png")
print(f"after 30 steps: reward {score:.1f}, over: {out['terminated'][0] > 0.5}")
