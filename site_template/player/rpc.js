// Calls into a worker as promises, with time limits and a clear end when the worker dies.

/**
 * @typedef {{resolve: (value: any) => void, reject: (reason: Error) => void, method: string,
 *   waited: number, limit: number}} Pending
 */

const WATCH_MS = 100;

/** Thrown when a worker is gone: it failed to start, crashed, was stopped or went silent. */
export class WorkerGone extends Error {}

export class Remote {
  /** @param {URL} url @param {string} name */
  constructor(url, name) {
    this.name = name;
    /** @type {Map<number, Pending>} */
    this.pending = new Map();
    this.next = 1;
    /** @type {string | null} */
    this.gone = null;
    /** @type {(event: any) => void} */
    this.onevent = () => {};
    /** Called when a call has waited this long (ms), once a watch. @type {(method: string, waited: number) => void} */
    this.onwait = () => {};
    this.worker = new Worker(url, { type: "module", name });
    this.worker.onmessage = ({ data }) => this.receive(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.end(event.message ? `its worker failed: ${event.message}` : "its worker did not start");
    };
    this.worker.onmessageerror = () => this.end("its worker sent what could not be read");
    this.last = performance.now();
    this.watch = setInterval(() => this.check(), WATCH_MS);
  }

  /**
   * Call `method`; reject with the worker's own error, or with WorkerGone.
   * @param {string} method @param {unknown} [args] @param {Transferable[]} [transfer]
   * @param {number} [limit] milliseconds after which the worker counts as silent
   * @returns {Promise<any>}
   */
  call(method, args, transfer = [], limit = Infinity) {
    if (this.gone !== null) return Promise.reject(new WorkerGone(this.gone));
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject, method, waited: 0, limit });
      this.worker.postMessage({ id, method, args }, transfer);
    });
  }

  /** @param {any} data */
  receive(data) {
    if (data.event) {
      // Whoever is at work and says so is not silent.
      for (const p of this.pending.values()) p.waited = 0;
      this.onevent(data.event);
      return;
    }
    const call = this.pending.get(data.id);
    if (!call) return;
    this.pending.delete(data.id);
    if ("error" in data) call.reject(Object.assign(new Error(data.error), data.details));
    else call.resolve(data.result);
  }

  check() {
    const now = performance.now();
    // A sleeping laptop or a throttled tab must not look like a silent worker.
    const passed = Math.min(now - this.last, 4 * WATCH_MS);
    this.last = now;
    let oldest = true;
    for (const call of this.pending.values()) {
      // Calls are served in order: only the first one is being worked on.
      if (!oldest) break;
      oldest = false;
      call.waited += passed;
      if (call.waited > call.limit) return this.end(`its worker did not answer within ${Math.round(call.limit / 1000)} s`);
      this.onwait(call.method, call.waited);
    }
  }

  /** End the worker and every call that waits for it. @param {string} reason */
  end(reason) {
    if (this.gone !== null) return;
    this.gone = reason;
    clearInterval(this.watch);
    this.worker.terminate();
    for (const call of this.pending.values()) call.reject(new WorkerGone(reason));
    this.pending.clear();
  }
}

/**
 * Serve calls inside a worker, one at a time and in order.
 * A handler returns its result, or `moved(result, transfer)`.
 * @param {Record<string, (args: any) => any>} handlers
 */
export function serve(handlers) {
  let last = Promise.resolve();
  const port = /** @type {{postMessage(message: any, transfer?: Transferable[]): void}} */ (/** @type {unknown} */ (self));
  /** @param {{id: number, method: string, args: any}} data */
  const answer = async ({ id, method, args }) => {
    try {
      let result = handlers[method](args);
      if (result instanceof Promise) result = await result;
      if (result instanceof Moved) port.postMessage({ id, result: result.result }, result.transfer);
      else port.postMessage({ id, result });
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error));
      port.postMessage({ id, error: reason.message, details: "fault" in reason ? { fault: reason.fault } : {} });
    }
  };
  self.onmessage = ({ data }) => {
    last = last.then(() => answer(data));
  };
}

class Moved {
  /** @param {unknown} result @param {Transferable[]} transfer */
  constructor(result, transfer) {
    this.result = result;
    this.transfer = transfer;
  }
}

/** @param {unknown} result @param {Transferable[]} transfer */
export const moved = (result, transfer) => new Moved(result, transfer);

/** Send an event (progress) to the page. @param {unknown} event */
export const tell = (event) =>
  /** @type {{postMessage(message: any): void}} */ (/** @type {unknown} */ (self)).postMessage({ event });
