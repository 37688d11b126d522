// The game loop: ticks at the world's rate, drawn by requestAnimationFrame, with limited catch-up.

/** A ring of the last `size` numbers, with percentiles. */
export class Samples {
  /** @param {number} size */
  constructor(size) {
    this.values = new Float64Array(size);
    this.count = 0;
  }

  /** @param {number} value */
  push(value) {
    this.values[this.count++ % this.values.length] = value;
  }

  clear() {
    this.count = 0;
  }

  /** Return the sum of what the ring holds. */
  sum() {
    return this.ordered().reduce((a, b) => a + b, 0);
  }

  /** Return the ring's content, oldest first. */
  ordered() {
    const { values, count } = this;
    const next = count < values.length ? 0 : count % values.length;
    return [...values.slice(next, count), ...values.slice(0, next)];
  }

  /** Return the ring's median and 95th percentile (0 if empty). */
  percentiles() {
    const held = this.values.slice(0, Math.min(this.count, this.values.length)).sort();
    /** @param {number} q */
    const at = (q) => (held.length ? held[Math.min(held.length - 1, Math.floor(q * held.length))] : 0);
    return { p50: at(0.5), p95: at(0.95) };
  }
}

/** The most ticks that the loop catches up on after a delay; older ones are dropped. */
const MOST_OWED = 2;

export class Loop {
  /**
   * `tick` computes the next frame; `present` draws the frame of the last tick. A tick's frame is
   * drawn when the next tick is due, so that workers have a whole period and the pace is even.
   * @param {{rate: number, tick: () => Promise<unknown>, present: () => void}} options
   */
  constructor({ rate, tick, present }) {
    this.rate = rate;
    this.period = 1000 / rate;
    this.tick = tick;
    this.present = present;
    this.running = false;
    this.handle = 0;
    this.due = 0;
    this.last = 0;
    this.presented = 0;
    this.refresh = 1000 / 60;
    this.busy = false;
    this.ready = false;
    /** Milliseconds between drawn frames, for a minute at 60 Hz. */
    this.intervals = new Samples(3600);
  }

  /** Take the rate of an edited sim. @param {number} rate */
  pace(rate) {
    if (rate === this.rate) return;
    this.rate = rate;
    this.period = 1000 / rate;
  }

  start() {
    if (this.running) return;
    this.running = true;
    this.due = 0;
    this.presented = 0;
    this.last = 0;
    this.handle = requestAnimationFrame((now) => this.frame(now));
  }

  stop() {
    this.running = false;
    cancelAnimationFrame(this.handle);
  }

  /** @param {number} now */
  frame(now) {
    if (!this.running) return;
    this.handle = requestAnimationFrame((next) => this.frame(next));
    if (this.last) this.refresh += (Math.min(34, Math.max(4, now - this.last)) - this.refresh) * 0.05;
    this.last = now;
    this.due ||= now;
    // The screen refresh nearest to the time when the tick is due.
    if (this.busy || now < this.due - this.refresh / 2) return;
    this.due = Math.max(this.due + this.period, now - MOST_OWED * this.period);
    this.show(now);
    void this.once();
  }

  /** @param {number} now */
  show(now) {
    if (!this.ready) return;
    this.ready = false;
    if (this.presented) this.intervals.push(now - this.presented);
    this.presented = now;
    this.present();
  }

  /** Compute one tick, also outside of the pace (single-step). @returns {Promise<void>} */
  async once() {
    if (this.busy) return;
    this.busy = true;
    try {
      this.ready = Boolean(await this.tick());
    } finally {
      this.busy = false;
    }
  }
}
