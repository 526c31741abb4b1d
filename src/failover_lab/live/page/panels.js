// What is told in words: the story, what is next, the clocks, the figures.

import { get, make, number, put, seconds, signed } from "./words.js";

const NAMES = {
  address: "Another node announces the address",
  endpoints: "No lost pod is listed any more",
  capacity: "All replicas are ready again",
  stale_flows: "No request goes to a lost pod any more",
};
const TONES = { good: "✓", bad: "✕", done: "▸", plain: "·" };

/** The head of the page. */
export function heading(model, player) {
  const { head, end } = model,
    title = end ? end.sentence : (head.fault.deed ?? "A run of the witness");
  put(get("title"), title);
  put(
    get("about"),
    [head.profile && `lab ${head.profile}`, head.address, head.run].filter(Boolean).join(" · "),
  );
  const badge = get("badge"),
    state = end ? (end.passed ? "passed" : "failed") : player.following ? "live" : "past";
  badge.className = `badge ${state}`;
  put(
    badge,
    end ? end.heading : player.following ? "Live" : player.live && !player.ended ? "Paused" : "Replay",
  );
  document.title = `${badge.textContent}: ${title}`;
}

/** What is waited for, since when and for about how long. */
export function next(model, now) {
  const { ahead, end } = model,
    bar = get("ahead-bar"),
    type = get("type");
  const since = ahead?.since ?? null,
    about = ahead?.about ?? null,
    elapsed = since === null ? null : Math.max(0, now - since);
  if (end)
    put(
      get("ahead"),
      end.reasons.length ? `The verdict is no: ${end.reasons.join("; ")}.` : "The run is over.",
    );
  else if (model.gone)
    put(
      get("ahead"),
      `Nothing more will come (${model.gone}). What is seen stays; the report will be in the run's folder.`,
    );
  else if (!ahead) put(get("ahead"), "–");
  else {
    const how =
      elapsed === null
        ? about
          ? `: ${seconds(about, 0)} of it`
          : ""
        : `: ${seconds(elapsed)}${about ? ` of about ${seconds(about)}` : ""}`;
    put(get("ahead"), `Waiting for ${ahead.text}${how}`);
  }
  type.hidden = end || !ahead?.type;
  if (!type.hidden) put(type.querySelector("code"), ahead.type);
  bar.hidden = Boolean(end) || !about || elapsed === null;
  if (!bar.hidden)
    ((bar.value = Math.min(1, elapsed / about)), bar.classList.toggle("late", elapsed > about * 1.3));
}

/** The figures. */
export function figures(model, rates, now) {
  const { fault, total } = model;
  put(
    get("since-label"),
    fault !== null && now >= fault
      ? "since the fault"
      : fault !== null
        ? "until the fault"
        : "since the start",
  );
  put(get("since"), seconds(fault === null ? now : Math.abs(now - fault)));
  put(get("answered"), number(total.answered));
  put(get("failed"), number(total.failed));
  put(get("rate"), number(rates.all));
  get("failed").parentElement.classList.toggle("some", total.failed > 0);
}

let told = { model: null, count: 0, fault: null };

/** The sentences, the newest first. */
export function story(model) {
  const list = get("story");
  if (told.model === model && told.count === model.story.length && told.fault === model.fault) return;
  const line = (one) =>
    make(
      "li",
      { class: one.tone },
      make("span", { class: "sign", "aria-hidden": "true" }, TONES[one.tone]),
      make("time", {}, model.fault === null ? seconds(one.t) : signed(one.t - model.fault)),
      make("span", {}, one.text),
    );
  list.replaceChildren(...model.story.map(line).reverse());
  told = { model, count: model.story.length, fault: model.fault };
}

/** The four clocks, each against its prediction. */
export function clocks(model, now) {
  const list = get("clocks"),
    { head, fault } = model,
    running = fault !== null && now >= fault && !model.end;
  if (!list.children.length) {
    for (const name of Object.keys(NAMES))
      list.append(
        make(
          "li",
          { "data-clock": name },
          make("span", { class: "name" }, NAMES[name]),
          make("span", { class: "took" }),
          make("span", { class: "bar" }, make("i"), make("b")),
          make("span", { class: "soft" }),
        ),
      );
  }
  const measured = model.end?.clocks ?? model.clocks,
    all = Object.keys(NAMES)
      .flatMap((name) => [head.predicted[name], measured[name]])
      .filter((value) => value > 0);
  const elapsed = fault === null ? 0 : Math.max(0, now - fault);
  const most = Math.max(
    5,
    ...all,
    running && Object.keys(NAMES).some((name) => expected(head, measured, name)) ? elapsed : 0,
  );
  for (const item of list.children) {
    const name = item.dataset.clock,
      predicted = head.predicted[name] ?? null,
      took = measured[name] ?? null;
    const ticks = running && took === null && expected(head, measured, name),
      value = took ?? (ticks ? elapsed : null);
    item.className = took !== null ? "done" : ticks ? "runs" : "idle";
    put(
      item.querySelector(".took"),
      took !== null ? `✓ ${seconds(took)}` : ticks ? seconds(elapsed) : fault === null ? "–" : "none",
    );
    put(
      item.querySelector(".soft"),
      predicted === null
        ? "not predicted"
        : predicted === 0
          ? "predicted: it stays"
          : `predicted: ${seconds(predicted)}`,
    );
    item.querySelector("i").style.width = `${100 * Math.min(1, (value ?? 0) / most)}%`;
    const mark = item.querySelector("b");
    mark.hidden = !predicted;
    if (predicted) mark.style.left = `${(100 * predicted) / most}%`;
  }
}

/** Whether a clock is to run at all: where nothing of the kind is predicted, it need not. */
function expected(head, measured, name) {
  if (head.predicted[name]) return true;
  // What evicts pods is not predicted, and yet they leave and others come.
  return (
    (name === "endpoints" || name === "capacity") &&
    Object.values(head.predicted).every((value) => value === null)
  );
}
