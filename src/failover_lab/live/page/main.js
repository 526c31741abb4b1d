// The page: a film from its own text or from the server, a player, and what draws where it is.

import { charts } from "./charts.js";
import { clocks, figures, heading, next, story } from "./panels.js";
import { Player } from "./player.js";
import { Stage } from "./stage.js";
import { get, make, put, seconds, signed } from "./words.js";

const stage = new Stage(get("stage"));
const player = new Player((frame) => stage.send(frame, player.head.outcomes));
/** For tests: how long after an event the server told of it, the page heard, and had drawn it, in seconds. */
const drawn = [];
/** What has come and is not drawn yet. */
const awaited = [];
/**
 * So long after a picture the next one is asked for, which makes thirty a second. One that comes late has had to wait for
 * the one before it, and so would news: whoever cannot keep up is the machine on which a node is being lost, and has
 * fewer. In milliseconds.
 */
const PICTURE = 18,
  LATE = 40,
  SLOWEST = 250;
window.failoverLab = { player, drawn };
let charted = { at: 0, took: 0 },
  shown = 0,
  staged = 0,
  pace = PICTURE,
  before = performance.now(),
  asked = 0,
  timer = 0;

const since = (t) => Date.now() / 1000 - player.head.zero - t;

/** Have the next picture as soon as there can be one. */
function request() {
  clearTimeout(timer);
  if (asked) return;
  asked = performance.now();
  requestAnimationFrame(paint);
}

function paint(at) {
  const gap = at - before,
    late = performance.now() - asked;
  asked = 0;
  pace = late > LATE ? Math.min(SLOWEST, 4 * late) : Math.max(PICTURE, 0.9 * pace);
  timer = setTimeout(request, pace);
  const elapsed = gap / 1000;
  before = at;
  player.tick(elapsed);
  const { model, t } = player;
  // Texts need not change as often as dots move, and rates less often still, but for what is new.
  const fresh = awaited.length > 0;
  if (model && (fresh || at - shown > 100)) {
    shown = at;
    const rates = model.rates(t);
    if (fresh || model.scene !== stage.scene || at - staged > 250) {
      staged = at;
      stage.show(model, rates);
    }
    heading(model, player);
    next(model, t);
    figures(model, rates, t);
    story(model);
    clocks(model, t);
    controls();
    // The curves take the most, and can wait until what is new is there.
    if (at - charted.at > Math.max(240, 12 * charted.took) && !fresh) {
      const began = performance.now();
      charts(get("charts"), model, t, player.last, !player.live || player.ended);
      charted = { at, took: performance.now() - began };
    }
    for (const news of awaited.splice(0)) setTimeout(() => drawn.push({ ...news, s: since(news.t) }));
  }
  stage.animate(at, elapsed);
}

function controls() {
  const { first, last, t, model } = player,
    slider = get("slider");
  slider.min = first;
  slider.max = Math.max(last, first + 1);
  if (document.activeElement !== slider || !slider.matches(":active")) slider.value = t;
  slider.setAttribute(
    "aria-valuetext",
    model.fault === null ? seconds(t) : `${signed(t - model.fault)} from the fault`,
  );
  put(get("play"), player.following || player.playing ? "Pause" : "Play");
  get("live").hidden = !player.live || player.following || player.ended;
  const spots = [...model.marks.map(({ t: at, event }) => ["mark", at, event.replaceAll("_", " ")])];
  for (const [name, took] of Object.entries(model.end?.clocks ?? model.clocks))
    if (took !== null && model.fault !== null)
      spots.push(["clock", model.fault + took, model.head.clocks[name]]);
  const key = JSON.stringify([spots, Math.round(slider.max)]),
    ticks = get("ticks");
  if (ticks.dataset.key === key) return;
  ticks.dataset.key = key;
  ticks.replaceChildren(
    ...spots.map(([kind, at, title]) =>
      make("i", { class: kind, title, style: `left:${(100 * (at - first)) / (slider.max - first)}%` }),
    ),
  );
}

get("play").onclick = () => player.toggle();
get("back").onclick = () => player.seek(player.t - 5);
get("forth").onclick = () => player.seek(player.t + 5);
get("live").onclick = () => player.follow();
get("slider").oninput = (event) => player.seek(Number(event.target.value));
get("speed").onchange = (event) => {
  player.speed = Number(event.target.value);
  if (player.speed !== 1) player.following = false;
  player.playing = true;
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input, button")) return;
  const keys = {
    " ": () => player.toggle(),
    ArrowLeft: () => player.seek(player.t - (event.shiftKey ? 30 : 5)),
    ArrowRight: () => player.seek(player.t + (event.shiftKey ? 30 : 5)),
    Home: () => player.seek(player.first),
    End: () => (player.live ? player.follow() : player.seek(player.last)),
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

/** The report beneath the drawing, once there is one. */
async function report() {
  const section = get("report");
  if (!section.hidden) return;
  const answer = await fetch("report.html").catch(() => null);
  if (!answer?.ok) return;
  const frame = make("iframe", { title: "Report", sandbox: "allow-same-origin" });
  frame.srcdoc = await answer.text();
  frame.onload = () => {
    const fit = () => {
      frame.style.height = `${frame.contentDocument.documentElement.scrollHeight + 4}px`;
    };
    fit();
    addEventListener("resize", fit);
  };
  section.hidden = false;
  section.append(frame);
}

function connect() {
  const source = new EventSource("events");
  source.addEventListener("film", (event) => {
    player.load(JSON.parse(event.data));
    if (player.ended || !player.live) report();
  });
  source.addEventListener("frame", (event) => {
    const frame = JSON.parse(event.data);
    player.add(frame);
    if ("news" in frame) {
      awaited.push({ t: frame.news, told: frame.t - frame.news, heard: since(frame.news) });
      request();
    }
    if (frame.end) report();
    if (frame.gone) source.close();
  });
  source.onerror = () => {
    if (player.ended || player.model?.gone || (player.head && !player.live)) source.close();
    else put(get("badge"), "Connection lost");
  };
}

async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  return JSON.parse(
    await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text(),
  );
}

const own = get("film");
if (own) player.load({ ...(await unpack(own.textContent)), replay: true });
else connect();
request();
