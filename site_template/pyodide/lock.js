// Removes everything from a worker's global scope that it does not need, after Python's start and before any sim.
//
// The browser keeps the worker in its sandbox (player/sim/sandbox.js). This is the second wall: a deleted name
// can't be called, also not through Pyodide's `js`, a prototype or a constructor. The list has the names that stay,
// so names that browsers add one day are deleted too.

const LANGUAGE = [
  "AggregateError", "Array", "ArrayBuffer", "AsyncDisposableStack", "Atomics", "BigInt", "BigInt64Array", "BigUint64Array",
  "Boolean", "DataView", "Date", "DisposableStack", "Error", "EvalError", "FinalizationRegistry", "Float16Array",
  "Float32Array", "Float64Array", "Infinity", "Int16Array", "Int32Array", "Int8Array", "Intl", "Iterator", "JSON", "Map",
  "Math", "NaN", "Number", "Object", "Promise", "Proxy", "RangeError", "ReferenceError", "Reflect", "RegExp", "Set", "String",
  "SuppressedError", "Symbol", "SyntaxError", "TypeError", "URIError", "Uint16Array", "Uint32Array", "Uint8Array",
  "Uint8ClampedArray", "WeakMap", "WeakRef", "WeakSet", "decodeURI", "decodeURIComponent", "encodeURI", "encodeURIComponent",
  "escape", "globalThis", "isFinite", "isNaN", "parseFloat", "parseInt", "undefined", "unescape",
]; // prettier-ignore
// The names that Pyodide uses while it runs: clocks and timers, text, its own modules, random bytes.
const USED = [
  "AbortController", "AbortSignal", "DOMException", "Event", "EventTarget", "MessageChannel", "MessagePort", "TextDecoder",
  "TextEncoder", "WebAssembly", "clearInterval", "clearTimeout", "console", "crypto", "performance", "queueMicrotask",
  "self", "setInterval", "setTimeout",
]; // prettier-ignore
const STAYS = new Set([...LANGUAGE, ...USED]);

/** Delete all other names of the global scope, and the constructors that compile text. */
export function lock() {
  // Pyodide only asks whether a value is an instance of it; there is nothing to call.
  const kind = { prototype: Function.prototype, [Symbol.hasInstance]: (/** @type {unknown} */ value) => typeof value === "function" };
  const end = [EventTarget.prototype, Object.prototype];
  for (let at = globalThis; at && !end.includes(at); at = Object.getPrototypeOf(at))
    for (const name of Object.getOwnPropertyNames(at)) if (!STAYS.has(name)) Reflect.deleteProperty(at, name);
  Object.defineProperty(globalThis, "Function", { value: Object.freeze(kind) });
  for (const made of [() => {}, async () => {}, function* () {}, async function* () {}])
    Reflect.deleteProperty(Object.getPrototypeOf(made), "constructor");
}
