// The sandbox for sims: a worker that can compute, and reach nothing.
//
// A sim may be a program from anybody. Its worker is made from a blob, inside an iframe with an opaque
// origin. The browser enforces the consequences on every host:
//
// - no origin: none of this site's caches, databases, files, locks, channels or cookies;
// - the frame's policy, which a blob worker inherits: no request, no import, no `eval`;
// - no way out but one MessagePort, whose messages the page treats as those of a game and nothing else.
//
// So the worker receives everything that it needs: its code here, the rest over the port. Before the
// first line of a sim, pyodide/lock.js also deletes all names that could reach anything.
// first line of a simulator pyodide/lock.js also deletes the names that could reach anything.

import { h } from "../element/dom.js";

/** The frame's only script. builder/site/plugin.py puts its hash into the page's policy, which also holds for the frame. */
const FRAME = `addEventListener("message", ({ data: { code, name }, ports: [calls, told], source }) => {
  if (source !== parent) return;
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { name });
  worker.onerror = ({ message }) => told.postMessage({ failed: message || "" });
  worker.postMessage(null, [calls]);
  told.postMessage({});
}, { once: true });`;

/** An addition to the page's own policy, which the frame inherits and which limits scripts to known hashes. */
const POLICY = "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval'; worker-src blob:";

/** The time limit for a frame to start its worker, in ms. */
const PATIENCE = 20_000;

/** It has a worker's interface: messages before its code has come wait in the port. */
export class Sandbox {
  /** @param {string} name @param {Promise<ArrayBuffer>} code a classic script, whose first message brings the port */
  constructor(name, code) {
    /** @type {(event: {data: any}) => void} */
    this.onmessage = () => {};
    /** @type {(event: {message: string}) => void} */
    this.onerror = () => {};
    this.onmessageerror = () => {};
    const calls = new MessageChannel();
    const told = new MessageChannel();
    this.port = calls.port1;
    this.port.onmessage = (event) => this.onmessage(event);
    this.port.onmessageerror = () => this.onmessageerror();
    told.port1.onmessage = ({ data }) => {
      clearTimeout(this.timer);
      if ("failed" in data) this.onerror({ message: String(data.failed) });
    };
    // In sight, if only by a pixel: browsers give invisible frames less processor time.
    this.frame = h("iframe", {
      sandbox: "allow-scripts",
      srcdoc: `<!doctype html><meta http-equiv="Content-Security-Policy" content="${POLICY}"><script>${FRAME}</script>`,
      title: "Where simulators run",
      tabindex: -1,
      "aria-hidden": "true",
      style: "position: fixed; left: 0; bottom: 0; width: 1px; height: 1px; border: 0; opacity: 0; pointer-events: none",
      onload: async () => {
        const bytes = await code.catch(() => null); // The caller of the fetch reports it.
        if (!bytes || !this.frame.contentWindow) return;
        this.timer = setTimeout(() => this.onerror({ message: "a policy or an extension keeps its frame from starting" }), PATIENCE);
        this.frame.contentWindow.postMessage({ code: bytes, name }, "*", [calls.port2, told.port2]);
      },
    });
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    document.body.append(this.frame);
  }

  /** @param {any} message @param {Transferable[]} [transfer] */
  postMessage(message, transfer = []) {
    this.port.postMessage(message, transfer);
  }

  /** The frame ends its worker with it, even during a call. */
  terminate() {
    clearTimeout(this.timer);
    this.port.close();
    this.frame.remove();
  }
}
