// The manifests of a site and their files: fetched, verified by their hashes, and checked.
//
// Each manifest is checked against schema.js, which is generated from builder/site/manifest.py: a file with an
// unknown, missing or wrongly typed key is refused.

import { serviceWorkers } from "../element/browser-features.js";
import { SCHEMA } from "./schema.js";

/** @import {File, Site} from "../../types" */

/**
 * The part of JSON Schema that builder/site/schema.py writes. An object with `properties` has all of them and no others.
 * @typedef {{
 *   $ref?: string, const?: unknown, enum?: unknown[], anyOf?: Schema[], type?: string, properties?: Record<string, Schema>,
 *   additionalProperties?: Schema, items?: Schema, prefixItems?: Schema[],
 * }} Schema
 */

export class ManifestError extends Error {}

/** @param {unknown} value */
const kind = (value) => {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return { undefined: "nothing", object: "an object" }[/** @type {string} */ (typeof value)] ?? `a ${typeof value}`;
};

/** @param {unknown} value @param {string} where @returns {Record<string, unknown>} */
function object(value, where) {
  if (kind(value) !== "an object") throw new ManifestError(`${where}: expected an object, found ${kind(value)}`);
  return /** @type {Record<string, unknown>} */ (value);
}

/**
 * Throw a ManifestError that names the first place where a value does not match a schema.
 * @param {Schema} schema @param {unknown} value @param {string} where @returns {void}
 */
function checkAgainst(schema, value, where) {
  const { $ref, anyOf, type, properties, additionalProperties, items, prefixItems } = schema;
  const allowed = schema.enum ?? ("const" in schema ? [schema.const] : null);
  if ($ref) return check(/** @type {keyof typeof SCHEMA} */ ($ref.slice("#/$defs/".length)), value, where);
  if (anyOf) {
    // Of the alternatives that the schema writes, one is null.
    const [other] = anyOf.filter((one) => one.type !== "null");
    if (value !== null) checkAgainst(other, value, where);
  } else if (allowed) {
    if (!allowed.includes(value))
      throw new ManifestError(`${where}: expected ${allowed.join(" or ")}, found ${JSON.stringify(value)}`);
  } else if (properties) {
    const found = object(value, where);
    for (const key of Object.keys(found)) if (!(key in properties)) throw new ManifestError(`${where}.${key}: not a known key`);
    for (const [key, one] of Object.entries(properties)) checkAgainst(one, found[key], `${where}.${key}`);
  } else if (type === "object") {
    for (const [key, item] of Object.entries(object(value, where)))
      if (additionalProperties) checkAgainst(additionalProperties, item, `${where}.${key}`);
  } else if (type === "array") {
    if (!Array.isArray(value)) throw new ManifestError(`${where}: expected a list, found ${kind(value)}`);
    if (prefixItems && value.length !== prefixItems.length)
      throw new ManifestError(`${where}: expected ${prefixItems.length} items, found ${value.length}`);
    value.forEach((item, i) => checkAgainst(prefixItems?.[i] ?? items ?? {}, item, `${where}[${i}]`));
  } else if (type) {
    const whole = type === "integer";
    const wanted = whole ? "number" : type;
    if (typeof value !== wanted || (wanted === "number" && !(whole ? Number.isInteger(value) : Number.isFinite(value))))
      throw new ManifestError(`${where}: expected a ${whole ? "whole number" : type}, found ${kind(value)}`);
  }
}

/**
 * Throw a ManifestError that names the first place where a value does not match the schema's definition `name`.
 * @param {keyof typeof SCHEMA} name @param {unknown} value @param {string} where @returns {void}
 */
export const check = (name, value, where) => checkAgainst(SCHEMA[name], value, where);

/** @param {unknown} value @returns {Site} */
export function asSite(value) {
  check("Site", value, "site.json");
  return /** @type {Site} */ (value);
}

/** Each site.json that the page has, by its address. @type {Map<string, Promise<Site>>} */
const sites = new Map();

/**
 * Return a site.json, fetched once for the whole page, and never from a cache; a failure is not stored.
 * @param {string} src its absolute address @param {boolean} [fresh] fetch it again
 */
export function loadSite(src, fresh = false) {
  const known = fresh ? undefined : sites.get(src);
  if (known) return known;
  const fetching = fetchOk(src, "no-store").then(async (response) => asSite(await readJson(response, "site.json")));
  sites.set(src, fetching);
  fetching.catch(() => sites.get(src) === fetching && sites.delete(src));
  return fetching;
}

const APP = new URL("../", import.meta.url).href;

/**
 * Is this page of an older version of its site? Its files may be gone then, and only loading it again helps.
 * @param {string} src the absolute address of site.json @returns {Promise<boolean>}
 */
export async function outdated(src) {
  try {
    const { runtime } = await loadSite(src, true);
    return new URL(runtime.app.replace(/\/?$/, "/"), src).href !== APP;
  } catch (error) {
    // If this page can't read a manifest, that is a later version's.
    return error instanceof ManifestError;
  }
}

/** @param {ArrayBuffer} bytes @returns {Promise<string | null>} hex sha256; null if the page may not hash */
export async function sha256(bytes) {
  // crypto.subtle exists on https and localhost only; elsewhere only the byte count is checked.
  if (!globalThis.crypto?.subtle) return null;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash].map((b) => b.toString(16).padStart(2, "0")).join("");
}

/** Return the file name of an address, for messages. @param {string} url absolute */
export const fileOf = (url) => new URL(url).pathname.split("/").pop() || "the page";

/**
 * Fetch one file of the site, count its bytes, and verify that it is the one in the manifest.
 * @param {File} entry its url absolute @param {(bytes: number) => void} [onBytes] called with each chunk's size
 * @param {RequestCache} [cache] @returns {Promise<ArrayBuffer>}
 */
export async function fetchFile(entry, onBytes, cache = "default") {
  const name = fileOf(entry.url);
  const response = await fetchOk(entry.url, cache);
  const bytes = new Uint8Array(entry.bytes);
  let at = 0;
  // A reader, because WebKit cannot iterate a stream.
  const reader = response.body?.getReader();
  for (;;) {
    const part = await reader?.read().catch(() => {
      throw new Error(`${name}: the network broke off after ${at} of ${bytes.length} bytes`);
    });
    if (!part || part.done) break;
    if (at + part.value.length > bytes.length) {
      void reader?.cancel().catch(() => {});
      throw new Error(`${name}: longer than the manifest says; ${STALE}`);
    }
    bytes.set(part.value, at);
    at += part.value.length;
    onBytes?.(part.value.length);
  }
  if (at < bytes.length) throw new Error(`${name}: ended after ${at} of ${bytes.length} bytes; ${STALE}`);
  const hash = await sha256(bytes.buffer);
  if (hash !== null && hash !== entry.sha256) throw new Error(`${name}: not the file the manifest names; ${STALE}`);
  return bytes.buffer;
}

/**
 * Import a module of the site; an error names it, because not every browser does.
 * @param {string} url its absolute address @returns {Promise<any>}
 */
export async function load(url) {
  try {
    return await import(url);
  } catch (error) {
    const name = fileOf(url);
    throw new Error(error instanceof TypeError ? `${name}: the network did not answer, or ${STALE}` : `${name}: ${error}`);
  }
}

/**
 * Fetch a file as `fetchFile` does; after a failure, once more without the browser's cache, which may hold a file
 * of an older deployment. Then `onBytes` takes back the bytes of the first try.
 * @param {File} entry @param {(bytes: number) => void} onBytes @returns {Promise<ArrayBuffer>}
 */
export async function fetchSurely(entry, onBytes) {
  let told = 0;
  try {
    return await fetchFile(entry, (bytes) => {
      told += bytes;
      onBytes(bytes);
    });
  } catch {
    onBytes(-told);
    return fetchFile(entry, onBytes, "reload");
  }
}

/** @param {Response} response @param {string} name @returns {Promise<unknown>} */
export async function readJson(response, name) {
  try {
    return await response.json();
  } catch {
    throw new Error(`${name}: not JSON; ${STALE}`);
  }
}

const STALE = "the site may be half deployed";
// The workers replace this with a fetch that counts.
const native = globalThis.fetch.bind(globalThis);

/** @param {string} url @param {RequestCache} cache @returns {Promise<Response>} */
export async function fetchOk(url, cache) {
  const name = fileOf(url);
  let response;
  try {
    response = await native(url, { cache });
  } catch {
    // With a service worker, stored files come without a network.
    const kept = serviceWorkers()?.controller ? "not kept for offline use, and " : "";
    throw new Error(`${name}: ${kept}the network did not answer`);
  }
  if (!response.ok)
    throw new Error(`${name}: the server answered ${response.status}${response.status === 404 ? `; ${STALE}` : ""}`);
  return response;
}
