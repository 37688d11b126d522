// The stage in full screen; in browsers without full screen (on an iPhone), in the whole window.

import { h, icon } from "./dom.js";

/** @import {PlayerUI} from "./ui.js" */

export class FullScreen {
  /** @param {PlayerUI} ui */
  constructor(ui) {
    this.ui = ui;
    /** Is the picture wider than an upright phone? */
    this.wide = false;
    this.button = h("button", { type: "button", class: "wm-button", "data-do": "full", onclick: () => this.toggle() });
    this.face();
  }

  get on() {
    return this.ui.host.hasAttribute("data-full");
  }

  toggle() {
    if (this.on) this.leave();
    else void this.enter();
  }

  async enter() {
    const { host } = this.ui;
    this.show(true);
    try {
      await host.requestFullscreen({ navigationUI: "hide" });
      // Few browsers turn the screen, and only in full screen.
      if (this.wide) await /** @type {any} */ (screen.orientation).lock("landscape");
    } catch {
      // Refused or missing: the stage fills the window anyway.
    }
  }

  leave() {
    const { host } = this.ui;
    if (document.fullscreenElement === host) void document.exitFullscreen().catch(() => {});
    this.show(false);
  }

  /** @param {boolean} on */
  show(on) {
    if (on === this.on) return;
    this.ui.host.toggleAttribute("data-full", on);
    this.face();
    this.ui.fit();
    if (!on) this.ui.place();
  }

  face() {
    const name = this.on ? "Leave full screen (F)" : "Full screen (F)";
    this.button.replaceChildren(icon(this.on ? "shrink" : "full"));
    this.button.setAttribute("aria-label", name);
    this.button.title = name;
  }

  /** Leave with the browser's own Esc, and when the focus leaves: the page behind the stage is invisible. @param {AbortSignal} signal */
  watch(signal) {
    const { host } = this.ui;
    document.addEventListener("fullscreenchange", () => document.fullscreenElement !== host && this.show(false), { signal });
    document.addEventListener(
      "focusin",
      (event) => this.on && event.target instanceof Node && !host.contains(event.target) && this.leave(),
      { signal },
    );
    host.addEventListener(
      "keydown",
      (event) => {
        if (event.code === "Escape" && !event.defaultPrevented && this.on) this.leave();
      },
      { signal },
    );
  }
}
