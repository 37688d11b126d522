// Calls into a worker as promises, with time limits and a clear end when the worker dies.

/**
 * @typedef {{resolve: (value: any) => void, reject: (reason: Error) => void, method: string,
 *   waited: number, limit: number}} Pending
 */

/** @typedef {{postMessage(message: any, transfer?: Transferable[]): void, onmessage: any}} Port */

const WATCH_MS = 100;

/** Thrown when a worker is gone: it failed to start, crashed, was stopped or did not answer. */
export class WorkerGone extends Error {}

/**
 * The other end: a Worker, or a Sandbox with one in it.
 * @typedef {{
 *   postMessage(message: any, transfer?: Transferable[]): void, terminate(): void, onmessage: any, onerror: any, onmessageerror: any,
 * }} Far
 */

export class Remote {
  /** @param {Far} worker @param {string} name */
  constructor(worker, name) {
    this.name = name;
    /** @type {Map<number, Pending>} */
    this.pending = new Map();
    this.next = 1;
    /** @type {string | null} */
    this.gone = null;
    /** @type {(event: any) => void} */
    this.onevent = () => {};
    /** Called at each check with the time that a call has waited (ms). @type {(method: string, waited: number) => void} */
    this.onwait = () => {};
    this.worker = worker;
    this.worker.onmessage = (/** @type {{data: any}} */ { data }) => this.receive(data);
    this.worker.onerror = (/** @type {{message: string, preventDefault?: () => void}} */ event) => {
      event.preventDefault?.();
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

  /** The sender may be any program: a message that answers no call is ignored. @param {any} data */
  receive(data) {
    if (typeof data !== "object" || data === null) return;
    if (data.gone) return this.end(plain(data.gone));
    if (data.event) {
      // A worker that reports progress is not silent.
      for (const p of this.pending.values()) p.waited = 0;
      this.onevent(data.event);
      return;
    }
    const call = this.pending.get(data.id);
    if (!call) return;
    this.pending.delete(data.id);
    if ("error" in data) call.reject(Object.assign(new Error(plain(data.error)), detailsOf(data.details)));
    else call.resolve(data.result);
  }

  check() {
    const now = performance.now();
    // A sleeping laptop or a throttled tab must not count as a silent worker.
    const passed = Math.min(now - this.last, 4 * WATCH_MS);
    this.last = now;
    let oldest = true;
    for (const call of this.pending.values()) {
      // Calls are served in order: the worker works on the first one only.
      if (!oldest) break;
      oldest = false;
      call.waited += passed;
      if (call.waited > call.limit) return this.end(`its worker did not answer within ${Math.round(call.limit / 1000)} s`);
      this.onwait(call.method, call.waited);
    }
  }

  /** End the worker and all waiting calls. @param {string} reason */
  end(reason) {
    if (this.gone !== null) return;
    this.gone = reason;
    clearInterval(this.watch);
    this.worker.terminate();
    for (const call of this.pending.values()) call.reject(new WorkerGone(reason));
    this.pending.clear();
  }
}

/** @param {unknown} value @returns {string} */
const plain = (value) => String(typeof value === "object" ? "" : value).slice(0, 4000);

/** An error in a sim's code: text and a line. @param {any} fault */
export function asFault(fault) {
  const text = (/** @type {unknown} */ value) => (typeof value === "string" ? plain(value) : undefined);
  const line = Number.isInteger(fault.line) ? fault.line : null;
  return { message: plain(fault.message), type: text(fault.type), file: text(fault.file) ?? null, line };
}

/** The extras of an error: a fault, or the archive that an import needs. @param {any} details */
function detailsOf(details) {
  const { fault, needs } = details ?? {};
  if (typeof needs === "string") return { needs };
  return typeof fault === "object" && fault !== null ? { fault: asFault(fault) } : {};
}

/**
 * Serve calls inside a worker, one at a time and in order.
 * A handler returns its result, or `moved(result, transfer)`.
 * @param {Record<string, (args: any) => any>} handlers @param {Port} [port] where calls come from
 * @returns {(reason: string) => void} reports that this worker can no longer be used
 */
export function serve(handlers, port = /** @type {Port} */ (/** @type {unknown} */ (self))) {
  let last = Promise.resolve();
  /** @param {{id: number, method: string, args: any}} data */
  const answer = async ({ id, method, args }) => {
    try {
      let result = handlers[method](args);
      if (result instanceof Promise) result = await result;
      if (result instanceof Moved) port.postMessage({ id, result: result.result }, result.transfer);
      else port.postMessage({ id, result });
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error));
      port.postMessage({ id, error: reason.message, details: "details" in reason ? reason.details : {} });
    }
  };
  port.onmessage = (/** @type {{data: any}} */ { data }) => {
    last = last.then(() => answer(data));
  };
  return (reason) => port.postMessage({ gone: reason });
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
