// Small helpers to make elements.

/**
 * Make an element; `on*` are listeners, `class` is the classes, the rest are attributes (false and null: none).
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Record<string, any>} [props] @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((c) => c !== null));
  return element;
}

const PATHS = {
  play: "M7 4.5v15l13-7.5z",
  pause: "M6 4.5h4v15H6zm8 0h4v15h-4z",
  step: "M5 4.5v15l10-7.5zM16.5 4.5H20v15h-3.5z",
  restart: "M12 5V1.5L6.5 7 12 12.5V8.8a4.7 4.7 0 1 1-4.7 4.7H4A8 8 0 1 0 12 5z",
  moon: "M20.5 14.6A8.7 8.7 0 0 1 9.4 3.5 8.8 8.8 0 1 0 20.5 14.6z",
  resync: "M12 3a9 9 0 0 1 8 4.9V4h2v8h-8v-2h4.7A7 7 0 0 0 5.3 10H3.2A9 9 0 0 1 12 3zm-10 9h8v2H5.3a7 7 0 0 0 13.4 0h2.1A9 9 0 0 1 4 16.1V20H2z",
  code: "M8.7 6.3 3 12l5.7 5.7 1.5-1.5L6 12l4.2-4.2zM15.3 6.3 21 12l-5.7 5.7-1.5-1.5L18 12l-4.2-4.2z",
  chart: "M4 20V10h4v10zm6 0V4h4v16zm6 0v-7h4v7z",
  keys: "M3 6h18v12H3zm3 3v2h2V9zm4 0v2h2V9zm4 0v2h4V9zM7 13v2h10v-2z",
  tune: "M4 6h9v2H4zm12-2h2v2h2v2h-2v2h-2zM4 16h3v2H4zm5-2h2v6H9zm4 2h7v2h-7zM4 11h16v2H4z",
  path: "M9 3h2l-2.5 18h-4zm4 0h2l4.5 18h-4zM11.2 4h1.6l.3 4h-2.2zm-.5 7h2.6l.4 4h-3.4z",
  save: "M11 3h2v9.2l3.3-3.3 1.4 1.4L12 16l-5.7-5.7 1.4-1.4 3.3 3.3zM4 18h16v2H4z",
  full: "M4 4h7v2H7.4l4 4L10 11.4l-4-4V11H4zm16 16h-7v-2h3.6l-4-4 1.4-1.4 4 4V13h2z",
  shrink: "M11 11H4V9h3.6l-4-4L5 3.6l4 4V4h2zm2 2h7v2h-3.6l4 4-1.4 1.4-4-4V20h-2z",
  link: "M10.6 13.4a1 1 0 0 1-1.4 1.4 4.5 4.5 0 0 1 0-6.4l3-3a4.5 4.5 0 0 1 6.4 6.4l-1.4 1.4-1.4-1.4 1.4-1.4a2.5 2.5 0 0 0-3.6-3.6l-3 3a2.5 2.5 0 0 0 0 3.6zm2.8-2.8a1 1 0 0 1 1.4-1.4 4.5 4.5 0 0 1 0 6.4l-3 3a4.5 4.5 0 0 1-6.4-6.4l1.4-1.4 1.4 1.4-1.4 1.4a2.5 2.5 0 0 0 3.6 3.6l3-3a2.5 2.5 0 0 0 0-3.6z",
};

/** Make an SVG element. @param {string} tag @param {Record<string, string | number>} [attributes] */
export function svg(tag, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/** @param {keyof typeof PATHS} name */
export function icon(name) {
  const made = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" });
  made.append(svg("path", { d: PATHS[name] }));
  return made;
}

/** Download a file in the browser. @param {string} name @param {Blob} blob */
export function download(name, blob) {
  const href = URL.createObjectURL(blob);
  h("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

/** A figure of the sim as text. @param {number} value */
export const format = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(2).replace(/^-(0\.00)$/, "$1"));

/** @param {number} bytes */
export const megabytes = (bytes) => (bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 1);

/** Return "3.1 of 9.8 MB". @param {number} loaded @param {number} total */
export const progress = (loaded, total) =>
  total < 1e6
    ? `${(loaded / 1e3).toFixed(0)} of ${(total / 1e3).toFixed(0)} kB`
    : `${megabytes(loaded)} of ${megabytes(total)} MB`;
