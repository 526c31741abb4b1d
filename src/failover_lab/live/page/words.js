// How figures and names are written; as in the report.

const THIN = "\u202f",
  FIRM = "\u00a0";

/** A whole number with narrow spaces between thousands. */
export const number = (value) =>
  Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, THIN);

/** A span of time: `0.3 s`, `12 s`, `3 min 5 s`. */
export function seconds(value, digits = 1) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 120)
    return `${value < 0 ? "−" : ""}${Math.floor(size / 60)}${FIRM}min ${Math.floor(size % 60)}${FIRM}s`;
  return `${value < 0 ? "−" : ""}${size.toFixed(size >= 100 ? 0 : digits)}${FIRM}s`;
}

/** A time of requests: `1.2 ms`, `340 ms`, `1.01 s`. */
export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 1000) return `${(value / 1000).toFixed(2)}${FIRM}s`;
  return `${value.toFixed(value >= 10 ? 0 : 1)}${FIRM}ms`;
}

/** Seconds before or after the fault. */
export const signed = (value) => (value < 0 ? "−" : "+") + seconds(Math.abs(value));

/** A pod's name as people tell it from others of its Deployment; any other name as it is. */
export const shortPod = (name) => name.match(/^.+-[a-z0-9]{8,10}-([a-z0-9]{5})$/)?.[1] ?? name;

/** A node's name without the lab's, which all of them have; the first one has no other. */
export const shortNode = (name, profile) =>
  profile && name.startsWith(`${profile}-`) ? name.slice(profile.length + 1) : name;

/** An element with its attributes and children. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** The same for what is drawn. */
export function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Change a text only where it is another: readers of the screen say what changes. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** An element of the page by its id. */
export const get = (id) => document.getElementById(id);
