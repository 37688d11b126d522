// Features that a browser may lack, and that headers or a sandbox may refuse: the page works without them.

/** Does the player want reduced motion? */
export function calm() {
  try {
    return matchMedia("(prefers-reduced-motion: reduce)").matches;
  } catch {
    return false;
  }
}

/** The connected gamepads. @returns {(Gamepad | null)[]} */
export function gamepads() {
  try {
    return navigator.getGamepads?.() ?? [];
  } catch {
    return []; // Permissions-Policy: gamepad=() makes it throw.
  }
}

/** The service workers of this origin, if there are any. @returns {ServiceWorkerContainer | null} */
export function serviceWorkers() {
  try {
    return navigator.serviceWorker ?? null;
  } catch {
    return null;
  }
}

/** Call `work` for each change of the element's size, or at least of the window's. @param {Element} element @param {() => void} work */
export function onResize(element, work) {
  try {
    new ResizeObserver(work).observe(element);
  } catch {
    addEventListener("resize", work);
    work();
  }
}

/**
 * Tell `work` if the element is in sight, for every change; if the browser can't tell, it counts as visible.
 * @param {Element} element @param {(seen: boolean) => void} work @param {AbortSignal} signal
 */
export function onSight(element, work, signal) {
  try {
    const seen = new IntersectionObserver(([entry]) => work(entry.isIntersecting));
    seen.observe(element);
    signal.addEventListener("abort", () => seen.disconnect());
  } catch {
    work(true);
  }
}

/** The time limit for a WebGPU adapter, in ms: some browsers never answer, some throw at once. */
export const LIMITS = { adapter: 5000 };

/** Return the WebGPU adapter of this device, or throw the reason why there is none. @returns {Promise<unknown>} */
export async function adapter() {
  const { gpu } = /** @type {any} */ (navigator);
  if (!gpu) throw new Error("this browser has no WebGPU");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const silence = new Promise((_, reject) => {
    const { adapter: limit } = LIMITS;
    timer = setTimeout(() => reject(new Error(`the browser named no adapter within ${limit / 1000} s`)), limit);
  });
  try {
    const found = await Promise.race([gpu.requestAdapter(), silence]);
    if (!found) throw new Error("it has no adapter on this device");
    return found;
  } finally {
    clearTimeout(timer);
  }
}
