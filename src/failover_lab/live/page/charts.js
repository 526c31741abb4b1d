// Lanes over one axis of time: all requests, what was lost, each pod, answer times. Told apart by place, not by colour.

import { percentile } from "./model.js";
import { draw, milliseconds, number, seconds, shortNode, shortPod } from "./words.js";

const WINDOW_S = 300;
const LEAST_S = 40;
const HEIGHTS = { all: 64, lost: 30, pod: 24, times: 64 };

/** Draw the lanes anew. */
export function charts(box, model, now, last, whole) {
  const wide = Math.max(260, box.clientWidth),
    narrow = wide < 560;
  const left = narrow ? 86 : 150,
    right = narrow ? 44 : 64;
  const begin = whole ? 0 : Math.max(0, now - WINDOW_S),
    end = Math.max(whole ? last : now, begin + LEAST_S);
  const x = (t) => left + ((t - begin) / (end - begin)) * (wide - left - right);
  const svg = draw("svg", { width: wide, role: "img" });
  const past = [...model.seconds].filter(([at]) => at + 1 >= begin && at <= now).sort((a, b) => a[0] - b[0]);
  const top = Math.max(1, ...past.map(([, one]) => one.answered + one.failed));
  let y = 18;
  const lanes = [];

  const lane = (title, detail, height, value, tone = "") => {
    const group = draw("g", { class: `lane ${tone}` });
    group.append(draw("line", { x1: left, x2: wide - right, y1: y + height, y2: y + height, class: "base" }));
    group.append(draw("text", { x: 0, y: narrow && height > 40 ? y + 12 : y + height - (detail && !narrow ? 12 : 4), class: "name" }, title));
    if (detail && !narrow) group.append(draw("text", { x: 0, y: y + height, class: "detail" }, detail));
    group.append(draw("text", { x: wide, y: y + height - 4, class: "value", "text-anchor": "end" }, value));
    svg.append(group);
    lanes.push(group);
    const at = y;
    y += height + (narrow ? 8 : 10);
    return { group, base: at + height, height };
  };
  const bars = (where, of, most, kind) => {
    let path = "";
    for (const [at, one] of past) {
      const value = of(one);
      if (!value) continue;
      const tall = Math.max(1, (value / most) * where.height),
        from = Math.max(x(at), left),
        to = Math.min(x(at + 1), x(Math.max(now, at + 0.2)), wide - right);
      if (to > from)
        path += `M${from.toFixed(1)} ${where.base}V${(where.base - tall).toFixed(1)}H${to.toFixed(1)}V${where.base}Z`;
    }
    where.group.append(draw("path", { d: path, class: kind }));
  };
  const rates = model.rates(now);

  const all = lane(narrow ? "All" : "All requests", `at most ${number(top)} a second`, HEIGHTS.all, number(rates.all));
  bars(all, (one) => one.answered + one.failed, top, "failed");
  bars(all, (one) => one.answered, top, "answered");
  const lost = lane(
    "Lost",
    model.total.failed ? `${number(model.total.failed)} in all` : "none so far",
    HEIGHTS.lost,
    number(rates.failed),
    "bad",
  );
  bars(lost, (one) => one.failed, Math.max(1, ...past.map(([, one]) => one.failed)), "failed");
  const order = [...model.pods].filter(
    ([name]) =>
      past.some(([, one]) => one.pods.has(name)) || model.scene.pods.some((pod) => pod.name === name),
  );
  const share = Math.max(1, ...past.flatMap(([, one]) => [...one.pods.values()]));
  for (const [name, node] of order.slice(0, 16)) {
    const one = lane(
      shortPod(name),
      node ? `on ${shortNode(node, model.head.profile)}` : "",
      HEIGHTS.pod,
      number(rates.pods.get(name) ?? 0),
    );
    bars(one, (at) => at.pods.get(name) ?? 0, share, "answered");
  }
  const times = lane(narrow ? "Time" : "Answer time", "slowest, 99%, median", HEIGHTS.times, "");
  answerTimes(times, past, x, left);

  // The axis, above and below, so that it is near whatever one looks at.
  const since = model.fault;
  const step = [5, 10, 20, 30, 60, 120, 300].find((one) => (end - begin) / one <= (narrow ? 5 : 10)) ?? 600;
  const zero = since ?? 0;
  for (let at = Math.ceil((begin - zero) / step) * step + zero; at <= end; at += step) {
    svg.append(draw("line", { x1: x(at), x2: x(at), y1: 16, y2: y, class: "grid" }));
    for (const ty of [10, y + 10])
      svg.append(
        draw(
          "text",
          { x: x(at), y: ty, class: "tick", "text-anchor": "middle" },
          since === null
            ? seconds(at, 0)
            : `${at > zero ? "+" : ""}${Math.round(at - zero)}${at === zero ? " fault" : ""}`,
        ),
      );
  }
  for (const { t } of model.marks)
    if (t >= begin && t <= end)
      svg.append(draw("line", { x1: x(t), x2: x(t), y1: 16, y2: y, class: "mark" }));
  svg.append(
    draw("line", {
      x1: x(Math.min(now, end)),
      x2: x(Math.min(now, end)),
      y1: 14,
      y2: y + 2,
      class: "cursor",
    }),
  );
  svg.setAttribute("height", y + 16);
  svg.setAttribute("viewBox", `0 0 ${wide} ${y + 16}`);
  svg.setAttribute("aria-label", described(model, rates, order));
  box.replaceChildren(svg);
}

function answerTimes(where, past, x, left) {
  const values = past.flatMap(([, one]) => (one.slowest ? [one.slowest] : []));
  const low = Math.log10(0.3),
    high = Math.log10(Math.max(100, ...values));
  const y = (ms) => where.base - ((Math.log10(Math.max(ms, 0.3)) - low) / (high - low)) * where.height;
  for (const ms of [1, 10, 100, 1000, 10000]) {
    if (Math.log10(ms) > high) continue;
    where.group.append(
      draw(
        "text",
        { x: left - 6, y: y(ms) + 3, class: "tick", "text-anchor": "end" },
        milliseconds(ms).replace(".0", ""),
      ),
    );
  }
  for (const [kind, of] of [
    ["p99", (one) => percentile(one.times, 0.99)],
    ["median", (one) => percentile(one.times, 0.5)],
  ]) {
    let path = "",
      before = null;
    for (const [at, one] of past) {
      const ms = of(one);
      if (ms === null) {
        before = null;
        continue;
      }
      path += `${before === at - 1 ? "L" : "M"}${x(at + 0.5).toFixed(1)} ${y(ms).toFixed(1)}`;
      before = at;
    }
    where.group.append(draw("path", { d: path, class: kind }));
  }
  for (const [at, one] of past)
    if (one.slowest)
      where.group.append(
        draw("circle", {
          cx: x(at + 0.5).toFixed(1),
          cy: y(one.slowest).toFixed(1),
          r: 1.6,
          class: "slowest",
        }),
      );
}

function described(model, rates, pods) {
  const by = pods.map(([name]) => `${shortPod(name)} ${number(rates.pods.get(name) ?? 0)}`).join(", ");
  return (
    `Requests a second now: ${number(rates.all)}, lost ${number(rates.failed)}; by pod: ${by || "none"}. ` +
    `In all, ${number(model.total.answered)} answered and ${number(model.total.failed)} lost.`
  );
}
