// One question to the site: who are you? Never throws; says what happened and how long it took.

export const TIMEOUT_MS = 2000;

/**
 * @param {string} path "/whoami", or "/whoami/once" for a connection of its own
 * @returns {Promise<{at: Date, ms: number, pod?: string, node?: string, error?: string}>}
 */
export async function ask(path) {
  const at = new Date();
  const began = performance.now();
  const done = (more) => ({ at, ms: performance.now() - began, ...more });
  try {
    const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!response.ok) return done({ error: `status ${response.status}` });
    const { pod, node } = await response.json();
    if (typeof pod !== "string" || typeof node !== "string") return done({ error: "wrong body" });
    return done({ pod, node });
  } catch (error) {
    if (error.name === "TimeoutError") return done({ error: `no answer in ${TIMEOUT_MS / 1000} s` });
    return done({ error: error.name === "SyntaxError" ? "wrong body" : "network error" });
  }
}

/** The class of a node's colour: the last digit of its name (the server has the same rule for the pages). */
export function colour(node) {
  const digit = /[0-9]$/.exec(node);
  return `n${digit ? digit[0] : 1}`;
}
