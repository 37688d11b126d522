// Run bare in the box, before anything is deleted: each attempt must be refused by the browser itself.
onmessage = async ({ ports: [port] }) => {
  const told = { origin: self.origin };
  const patience = (ms) => new Promise((_, reject) => setTimeout(() => reject(new Error("no answer")), ms));
  const attempt = async (name, work) => {
    try {
      const value = await Promise.race([work(), patience(1500)]);
      told[name] = `REACHED ${String(value).slice(0, 80)}`;
    } catch (error) {
      told[name] = `refused ${String(error?.name ?? error).slice(0, 80)}`;
    }
  };
  const blob = (code) => URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const opens = (made, event = "open") =>
    new Promise((resolve, reject) => {
      made.addEventListener(event, () => resolve(event));
      made.addEventListener("error", reject);
    });
  const request = (made) =>
    new Promise((resolve, reject) => {
      made.onsuccess = () => resolve("opened");
      made.onerror = made.onblocked = () => reject(made.error);
    });
  const socket = OTHER.replace("http", "ws");
  const nested = `fetch("${OTHER}?attack=nested", { mode: "no-cors" }).then(() => postMessage("out"), () => postMessage(""));`;
  const all = {
    fetch: () => fetch(`${OTHER}?attack=fetch`, { mode: "no-cors" }),
    "fetch of the site": () => fetch(`${OWN}?attack=fetch`),
    beacon: () => navigator.sendBeacon(`${OTHER}?attack=beacon`, "x") || Promise.reject(new Error("refused")),
    XMLHttpRequest: () => {
      const made = new XMLHttpRequest();
      made.open("GET", `${OTHER}?attack=xhr`, false);
      made.send();
    },
    WebSocket: () => opens(new WebSocket(`${socket}?attack=socket`)),
    WebSocketStream: () => new WebSocketStream(`${socket}?attack=stream`).opened,
    EventSource: () => opens(new EventSource(`${OTHER}?attack=events`)),
    WebTransport: () => new WebTransport(OTHER.replace("http:", "https:")).ready,
    RTCPeerConnection: () => new RTCPeerConnection(),
    FontFace: () => new FontFace("x", `url(${OTHER}?attack=font)`).load(),
    "import of another": () => import(`${OTHER}?attack=import`),
    "import of the site": () => import(`${OWN}?attack=import`),
    "import of a blob": () => import(blob("export default 1")),
    "import of data": () => import("data:text/javascript,export default 1"),
    "importScripts of another": () => importScripts(`${OTHER}?attack=scripts`),
    "importScripts of a blob": () => importScripts(blob("1")),
    eval: () => (0, eval)("1"),
    Function: () => new Function("return 1")(),
    AsyncFunction: () => (async () => {}).constructor("return 1")(),
    GeneratorFunction: () => (function* () {}).constructor("return 1")(),
    "a timer of text": () =>
      new Promise((resolve, reject) => {
        setTimeout("self.ran = true");
        setTimeout(() => (self.ran ? resolve("ran") : reject(new Error("refused"))), 100);
      }),
    // A nested worker is no way out: it has the same walls.
    "a nested worker": () =>
      new Promise((resolve, reject) => {
        const made = new Worker(blob(nested));
        made.onmessage = ({ data }) => (data ? resolve(data) : reject(new Error("refused")));
        made.onerror = reject;
      }),
    "a worker of the site": () => opens(new Worker(`${OWN}sw.js?attack=worker`), "message"),
    SharedWorker: () => opens(new SharedWorker(`${OWN}sw.js?attack=shared`), "message"),
    // One that a browser gives to no origin holds nothing of the site's.
    caches: async () => {
      const found = await (await caches.open("attack")).put("https://attack.invalid/", new Response("x"));
      return (await caches.keys()).length > 1 || OPAQUE ? Promise.reject(new Error("nobody's")) : found;
    },
    indexedDB: () => request(indexedDB.open("attack")),
    "navigator.storage": () => navigator.storage.getDirectory(),
    "navigator.locks": () => navigator.locks.query(),
    "navigator.serviceWorker": () => navigator.serviceWorker.register(`${OWN}sw.js?attack`),
    cookieStore: () => cookieStore.set("attack", "1"),
    SharedArrayBuffer: () => new SharedArrayBuffer(8),
    BroadcastChannel: () => {
      // Only its own, opaque origin hears it: the page proves that it does not.
      new BroadcastChannel("attack").postMessage("attack");
      throw new Error("posted");
    },
  };
  const OPAQUE = self.origin === "null";
  for (const [name, work] of Object.entries(all)) await attempt(name, work);
  port.postMessage(told);
};
