// Asks at a constant rate and draws who answered. A slow answer does not slow the asking down.
import { ask, colour } from "./whoami.js";

const KEPT = 240;
const FAILURES_SHOWN = 100;
const by = (id) => document.getElementById(id);
const canvas = by("strip");

let timer = null;
let state;

function fresh() {
  return { asked: 0, ok: 0, failed: 0, slowest: 0, gap: 0, lastOk: null, recent: [], nodes: new Map() };
}

function record(slot, answer, into) {
  if (into !== state) return; // cleared while it was under way
  Object.assign(slot, answer, { pending: false });
  const now = performance.now();
  if (answer.error) {
    state.failed += 1;
    note(answer);
  } else {
    state.ok += 1;
    state.slowest = Math.max(state.slowest, answer.ms);
    if (state.lastOk !== null) state.gap = Math.max(state.gap, now - state.lastOk);
    state.lastOk = now;
    if (!state.nodes.has(answer.node)) state.nodes.set(answer.node, new Map());
    const pods = state.nodes.get(answer.node);
    pods.set(answer.pod, (pods.get(answer.pod) ?? 0) + 1);
  }
  plan();
}

function note(answer) {
  const list = by("failures");
  if (state.failed === 1) list.replaceChildren();
  const item = document.createElement("li");
  item.className = "bad";
  item.textContent = `${answer.at.toLocaleTimeString()}  ${answer.error} after ${Math.round(answer.ms)} ms`;
  list.prepend(item);
  while (list.childElementCount > FAILURES_SHOWN) list.lastElementChild.remove();
}

async function once() {
  const into = state;
  const slot = { pending: true };
  into.asked += 1;
  into.recent.push(slot);
  if (into.recent.length > KEPT) into.recent.shift();
  record(slot, await ask(by("path").value), into);
}

// ---- drawing: at most once a frame, however many answers came ----

let planned = false;
function plan() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => { planned = false; draw(); });
}

const seconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

function draw() {
  by("n-asked").textContent = state.asked;
  by("n-ok").textContent = state.ok;
  by("n-failed").textContent = state.failed;
  by("n-failed").parentElement.classList.toggle("some", state.failed > 0);
  by("slowest").textContent = state.ok ? seconds(state.slowest) : "–";
  by("gap").textContent = state.ok > 1 ? seconds(state.gap) : "–";
  drawStrip();
  drawTally();
}

function drawStrip() {
  const scale = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const style = getComputedStyle(document.documentElement);
  const step = width / KEPT;
  state.recent.forEach((slot, index) => {
    if (slot.pending) return;
    const tall = slot.error ? height : Math.max(8, Math.sqrt(Math.min(1, slot.ms / 1000)) * height);
    pen.fillStyle = style.getPropertyValue(slot.error ? "--bad" : `--c${colour(slot.node).slice(1)}`);
    pen.fillRect(index * step, height - tall, Math.max(slot.error ? 2 : 1, step - 0.6), tall);
  });
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function drawTally() {
  if (state.nodes.size === 0) return;
  const most = Math.max(...[...state.nodes.values()].flatMap((pods) => [...pods.values()]));
  const sections = [...state.nodes].sort(([a], [b]) => a.localeCompare(b)).map(([node, pods]) => {
    const section = element("section", colour(node));
    const total = [...pods.values()].reduce((sum, count) => sum + count, 0);
    const head = element("h3", "", node);
    head.append(element("span", "", `${total} answers, ${Math.round((100 * total) / state.ok)}%`));
    section.append(head);
    for (const [pod, count] of [...pods].sort(([a], [b]) => a.localeCompare(b))) {
      const row = element("div", "row");
      const track = element("div", "track");
      const fill = element("div", "fill");
      fill.style.width = `${(100 * count) / most}%`;
      track.append(fill);
      row.append(element("code", "", pod), track, element("span", "count", count));
      section.append(row);
    }
    return section;
  });
  by("tally").replaceChildren(...sections);
}

// ---- controls ----

function start() {
  timer = setInterval(once, 1000 / Number(by("rate").value));
  once();
  by("toggle").textContent = "Stop";
  by("toggle").setAttribute("aria-pressed", "true");
  by("status").textContent = "Asking.";
}

function stop() {
  clearInterval(timer);
  timer = null;
  if (state.lastOk !== null) state.lastOk = null; // the pause is not an outage
  by("toggle").textContent = "Start";
  by("toggle").setAttribute("aria-pressed", "false");
  by("status").textContent = `Stopped: ${state.ok} answered, ${state.failed} failed.`;
}

function clear() {
  state = fresh();
  by("failures").replaceChildren(element("li", "small", "None so far."));
  by("tally").replaceChildren(element("p", "small", "Nothing asked yet."));
  draw();
}

by("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  if (timer === null) start(); else stop();
});
by("clear").addEventListener("click", clear);
by("rate").addEventListener("change", () => {
  if (timer !== null) { clearInterval(timer); timer = setInterval(once, 1000 / Number(by("rate").value)); }
});
document.addEventListener("visibilitychange", () => {
  // Browsers slow the timers of hidden pages down; a gap made by that would look like an outage.
  if (document.hidden) state.lastOk = null;
});
window.addEventListener("resize", plan);

by("app").hidden = false;
clear();
