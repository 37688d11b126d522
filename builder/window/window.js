// Plays a window of a recording: cameras, range image from above, sensors, controls and events, in step.

(() => {
  "use strict";

  /** @typedef {{name: string, unit: string, low: number, high: number, values: number[]}} Line */
  /** @typedef {{name: string, rings: number, columns: number, range: number, scale: number, elevations: number[], place: number[], rows: string}} Scan */
  /** @typedef {{name: string, width: number, height: number, images: string[]}} View */
  /** @typedef {{world: string, rate: number, first: number, count: number, cameras: View[], lines: Line[], scans: Scan[], paths: {name: string, points: number[][][]}[], pressed: string[], reward: number[], events: {row: number, last: number, name: string}[], about: [string, string][]}} Told */

  /** @param {string} id */
  const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
  /** @template {keyof HTMLElementTagNameMap} T @param {T} tag @param {Record<string, string>} [attributes] @param {(Node | string)[]} children */
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  /** @param {HTMLCanvasElement} canvas */
  const pen = (canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  /** @param {string} name */
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
  /** As many pixels as it has on the screen. @param {HTMLCanvasElement} canvas */
  const fit = (canvas) => {
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
  };
  /** @param {number} value */
  const short = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2));

  const told = /** @type {Told} */ (JSON.parse(find("data").textContent ?? ""));
  const { rate, count } = told;
  let at = 0;
  /** @type {((row: number) => void)[]} Draw one thing each. */
  const drawn = [];

  for (const view of told.cameras) {
    const canvas = make("canvas", { role: "img", "aria-label": `Camera ${view.name}` });
    canvas.width = view.width;
    canvas.height = view.height;
    find("views").append(make("figure", {}, canvas, make("figcaption", {}, view.name)));
    const images = view.images.map((data) => {
      const image = new Image();
      image.src = `data:image/png;base64,${data}`;
      image.decode().then(() => image === images[at] && pen(canvas).drawImage(image, 0, 0), () => {});
      return image;
    });
    drawn.push((row) => images[row].complete && pen(canvas).drawImage(images[row], 0, 0));
  }

  if (told.scans.length || told.paths.length) {
    const canvas = make("canvas", { role: "img", "aria-label": "From above: ahead is up" });
    find("above").hidden = false;
    find("above").append(make("h2", {}, "From above"), canvas, make("p", { class: "unit" }, "a ring every 10 m"));
    const scans = told.scans.map((scan) => {
      const bytes = Uint8Array.from(atob(scan.rows), (c) => c.charCodeAt(0));
      return { ...scan, values: new Uint16Array(bytes.buffer) };
    });
    const reach = Math.min(40, ...scans.map((scan) => scan.range));
    drawn.push((row) => {
      fit(canvas);
      const to = pen(canvas);
      const scale = canvas.width / 2 / reach;
      to.setTransform(1, 0, 0, 1, canvas.width / 2, canvas.height / 2);
      to.strokeStyle = ink("line");
      for (let ring = 10; ring <= reach; ring += 10) {
        to.beginPath();
        to.arc(0, 0, ring * scale, 0, 2 * Math.PI);
        to.stroke();
      }
      for (const { rings, columns, scale: unit, elevations, place, values } of scans) {
        const dot = Math.max(2, canvas.width / 200);
        for (let ring = 0; ring < rings; ring++) {
          for (let column = 0; column < columns; column++) {
            const range = values[(row * rings + ring) * columns + column] * unit;
            if (!range) continue;
            const across = range * Math.cos(elevations[ring]);
            const angle = Math.PI - (2 * Math.PI * (column + 0.5)) / columns;
            const up = place[2] + range * Math.sin(elevations[ring]);
            to.fillStyle = ink(up > 0.3 ? "mark" : "line");
            const x = -(place[1] + across * Math.sin(angle)) * scale;
            const y = -(place[0] + across * Math.cos(angle)) * scale;
            to.fillRect(x - dot / 2, y - dot / 2, dot, dot);
          }
        }
      }
      to.strokeStyle = to.fillStyle = ink("alert");
      to.lineWidth = 2 * devicePixelRatio;
      for (const { points } of told.paths) {
        to.beginPath();
        to.moveTo(0, 0);
        for (const [forward, left] of points[row]) to.lineTo(-left * scale, -forward * scale);
        to.stroke();
      }
      to.fillStyle = ink("ink");
      to.fillRect(-0.9 * scale, -2.1 * scale, 1.8 * scale, 4.2 * scale);
    });
  }

  for (const line of told.lines) {
    const now = make("span");
    const canvas = make("canvas", { role: "img", "aria-label": `${line.name} over time` });
    const head = make("div", {}, make("span", {}, `${line.name} `, make("span", { class: "unit" }, line.unit)), now);
    find("lines").append(make("div", { class: "signal" }, head, canvas));
    const low = Math.min(...line.values);
    const span = Math.max(...line.values) - low || 1;
    drawn.push((row) => {
      now.textContent = short(line.values[row]);
      fit(canvas);
      const to = pen(canvas);
      const { width, height } = canvas;
      /** @param {number} i */
      const x = (i) => (i / Math.max(1, count - 1)) * (width - 2) + 1;
      /** @param {number} i */
      const y = (i) => height - 3 - ((line.values[i] - low) / span) * (height - 6);
      to.strokeStyle = ink("quiet");
      to.lineWidth = devicePixelRatio;
      to.beginPath();
      line.values.forEach((_, i) => to.lineTo(x(i), y(i)));
      to.stroke();
      to.fillStyle = ink("mark");
      to.fillRect(x(row) - 1, 0, 2, height);
    });
  }

  const pressed = make("p");
  find("lines").append(pressed);
  drawn.push((row) => {
    const key = told.pressed.length ? `action ${told.pressed[row]}, ` : "";
    pressed.textContent = `${key}reward ${short(told.reward[row])}`;
  });

  /** @param {number} row */
  const seconds = (row) => ((told.first + row) / rate).toFixed(2);
  const marks = told.events.map(({ row, last, name }) => {
    const when = last > row ? `${seconds(row)} to ${seconds(last)} s` : `${seconds(row)} s`;
    const button = make("button", { type: "button" }, `${name} ${when}`);
    button.addEventListener("click", () => go(row));
    find("events").append(make("li", {}, button));
    return { row, last, button };
  });
  if (!marks.length) find("events").append(make("li", {}, "none in this window"));
  drawn.push((row) => {
    for (const mark of marks) mark.button.setAttribute("aria-current", String(mark.row <= row && row <= mark.last));
  });
  for (const [key, value] of told.about) find("about").append(make("dt", {}, key), make("dd", {}, value));

  const slider = /** @type {HTMLInputElement} */ (find("at"));
  slider.max = String(count - 1);
  /** @param {number} row */
  const go = (row) => {
    at = Math.max(0, Math.min(count - 1, row));
    const text = `${seconds(at)} s, step ${told.first + at}`;
    slider.value = String(at);
    slider.setAttribute("aria-valuetext", text);
    find("clock").textContent = text;
    for (const draw of drawn) draw(at);
  };

  let began = 0;
  let from = 0;
  let playing = false;
  /** @param {boolean} on */
  const play = (on) => {
    playing = on;
    find("play").textContent = on ? "Pause" : "Play";
    if (!on) return;
    from = at >= count - 1 ? 0 : at;
    began = performance.now();
    requestAnimationFrame(tick);
  };
  /** @param {number} time */
  const tick = (time) => {
    if (!playing) return;
    const row = from + Math.floor((Math.max(0, time - began) / 1000) * rate);
    if (row !== at) go(row);
    if (row >= count - 1) play(false);
    else requestAnimationFrame(tick);
  };
  find("play").addEventListener("click", () => play(!playing));
  find("back").addEventListener("click", () => (play(false), go(at - 1)));
  find("on").addEventListener("click", () => (play(false), go(at + 1)));
  slider.addEventListener("input", () => (play(false), go(Number(slider.value))));
  addEventListener("resize", () => go(at));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => go(at));
  go(0);
})();
