// The cluster as a drawing: nodes as boxes, pods in them, and requests on their way from the users.

import { place } from "./model.js";
import { draw, make, number, put, shortNode, shortPod } from "./words.js";

// So many dots a second at most, whatever the rate; each lost request has one up to a limit of its own.
const DOTS_A_SECOND = 46,
  LOST_A_FRAME = 10,
  MOST_DOTS = 260;
const TRAVEL_MS = 900,
  FADE_MS = 1500;

export class Stage {
  constructor(root) {
    this.root = root;
    this.nodes = root.querySelector("#nodes");
    this.links = root.querySelector("#links");
    this.canvas = root.querySelector("#flow");
    this.boxes = new Map();
    this.chips = new Map();
    this.dots = [];
    this.budget = 0;
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.stale = true;
    new ResizeObserver(() => {
      this.stale = true;
    }).observe(root);
  }

  /** Bring boxes and pods in line with what there is. */
  show(model, rates) {
    const { scene, head } = model;
    this.#legend(head.signs);
    put(
      this.root.querySelector("#address-name"),
      (head.address ?? "–").replace(/^https?:\/\//, "").replace(/\/.*$/, ""),
    );
    put(this.root.querySelector("#users-rate"), `${number(rates.all)} a second`);
    this.#node_boxes(model, rates);
    this.#pod_chips(model, rates);
    this.#lost_badge(this.root.querySelector("#address"), model.lost.get("address"), head.signs.lost);
    if (this.stale || this.scene !== scene) this.#measure();
    this.scene = scene;
    this.#links(model, rates);
  }

  /** What the signs mean. */
  #legend({ pods, lost }) {
    const legend = document.getElementById("signs");
    if (legend.children.length) return;
    const entry = (kind, sign, text) =>
      make("li", {}, make("span", { class: `sign ${kind}` }, sign), ` ${text}`);
    legend.append(
      ...Object.entries(pods).map(([state, [sign, says]]) => entry(state.replace(" ", ""), sign, says)),
      entry("bad", lost, "a request is lost here"),
    );
  }

  #node_boxes({ scene, head, lost }, rates) {
    const { nodes: marks, announces, lost: cross } = head.signs;
    const names = new Set(scene.nodes.map((node) => node.name));
    for (const [name, box] of this.boxes)
      if (!names.has(name)) (box.remove(), this.boxes.delete(name), (this.stale = true));
    for (const node of scene.nodes) {
      let box = this.boxes.get(node.name);
      if (!box) {
        box = make("section", { class: "node", "data-node": node.name });
        box.append(
          make(
            "h3",
            { class: "head" },
            make("span", { class: "name", title: node.name }, shortNode(node.name, head.profile)),
            make("span", { class: "tags" }),
            make("span", { class: "lost-here", hidden: "" }),
          ),
          make("div", { class: "pods" }),
        );
        this.nodes.append(box);
        this.boxes.set(node.name, box);
        this.stale = true;
      }
      const tags = [...node.states];
      const key = JSON.stringify([tags, scene.announcer === node.name]);
      if (box.dataset.key !== key) {
        box.dataset.key = key;
        box.classList.toggle("lost", node.lost);
        box.classList.toggle("away", !node.lost && tags.length > 0);
        box.classList.toggle("announces", scene.announcer === node.name);
        const list = tags.map((tag) => {
          const [sign, tone] = marks[tag] ?? ["!", "bad"];
          return make("span", { class: `tag ${tone}` }, `${sign} ${tag}`);
        });
        if (scene.announcer === node.name)
          list.unshift(make("span", { class: "tag announcer" }, announces.join(" ")));
        box.querySelector(".tags").replaceChildren(...list);
        box.setAttribute(
          "aria-label",
          `Node ${node.name}: ${[scene.announcer === node.name ? announces[1] : "", ...tags].filter(Boolean).join(", ") || "ready"}`,
        );
        this.stale = true;
      }
      box.classList.toggle("receives", (rates.via.get(node.name) ?? 0) > 0);
      this.#lost_badge(box.querySelector("h3"), lost.get(`node ${node.name}`), cross);
    }
  }

  #pod_chips({ scene, head, lost }, rates) {
    const { pods: words, lost: cross } = head.signs;
    const there = new Set(scene.pods.map((pod) => pod.uid || pod.name));
    for (const [uid, chip] of this.chips) {
      if (there.has(uid)) continue;
      this.chips.delete(uid);
      this.stale = true;
      if (this.still.matches || !chip.isConnected) {
        chip.remove();
        continue;
      }
      chip.classList.add("leaves");
      setTimeout(() => {
        chip.remove();
        this.stale = true;
      }, 350);
    }
    const most = Math.max(1, ...rates.pods.values());
    for (const pod of scene.pods) {
      const uid = pod.uid || pod.name,
        home = this.boxes.get(pod.node)?.querySelector(".pods");
      let chip = this.chips.get(uid);
      if (!chip) {
        chip = make(
          "div",
          { class: "pod", role: "group", "data-pod": pod.name, title: pod.name },
          make("i", { "aria-hidden": "true" }),
          make("b", {}, shortPod(pod.name)),
          make("small"),
          make("span", { class: "lost-here", hidden: "" }),
        );
        this.chips.set(uid, chip);
        this.stale = true;
      }
      if (home && chip.parentElement !== home) (home.append(chip), (this.stale = true));
      const rate = rates.pods.get(pod.name) ?? 0,
        [sign, says] = words[pod.state];
      if (chip.dataset.state !== pod.state) {
        chip.dataset.state = pod.state;
        put(chip.querySelector("i"), sign);
      }
      put(chip.querySelector("small"), pod.state === "ready" || rate ? `${number(rate)}/s` : says);
      chip.setAttribute("aria-label", `Pod ${pod.name} ${says}, ${number(rate)} answers a second`);
      chip.style.setProperty("--share", Math.round((20 * rate) / most) / 20);
      this.#lost_badge(chip, lost.get(`pod ${pod.name}`), cross);
    }
  }

  #lost_badge(box, count, cross) {
    const badge = box.querySelector(".lost-here");
    if (badge.hidden !== !count) ((badge.hidden = !count), (this.stale = true));
    if (count) put(badge, `${cross} ${number(count)} lost`);
  }

  /** Where everything stands. */
  #measure() {
    this.stale = false;
    const frame = this.root.getBoundingClientRect(),
      ratio = devicePixelRatio || 1;
    const rect = (element) => {
      const box = element.getBoundingClientRect();
      return {
        left: box.left - frame.left,
        right: box.right - frame.left,
        top: box.top - frame.top,
        bottom: box.bottom - frame.top,
        x: (box.left + box.right) / 2 - frame.left,
        y: (box.top + box.bottom) / 2 - frame.top,
      };
    };
    this.at = {
      users: rect(this.root.querySelector("#users")),
      address: rect(this.root.querySelector("#address")),
      nodes: new Map(),
      pods: new Map(),
    };
    for (const [name, box] of this.boxes) this.at.nodes.set(name, rect(box));
    for (const chip of this.chips.values())
      if (chip.isConnected)
        this.at.pods.set(chip.dataset.pod, { ...rect(chip), node: chip.closest(".node")?.dataset.node });
    this.upright =
      this.at.address.bottom < (this.at.nodes.values().next().value?.top ?? Infinity) && frame.width < 700;
    for (const element of [this.links, this.canvas])
      ((element.style.width = `${frame.width}px`), (element.style.height = `${frame.height}px`));
    this.links.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
    this.canvas.width = frame.width * ratio;
    this.canvas.height = frame.height * ratio;
    this.canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    this.ways = new Map();
  }

  /** The lines along which a request goes: to the address, to the node that receives it, to its pod. */
  #way(via, pod) {
    const key = `${via}\n${pod}`;
    if (this.ways.has(key)) return this.ways.get(key);
    const { users, address } = this.at,
      node = this.at.nodes.get(via),
      end = this.at.pods.get(pod),
      home = end && this.at.nodes.get(end.node);
    const pieces = [
      this.upright
        ? `M${users.x} ${users.bottom}L${address.x} ${address.top}`
        : `M${users.right} ${users.y}L${address.left} ${address.y}`,
    ];
    const gutter = this.upright ? 9 : address.right + 30;
    if (this.upright) pieces.push(`L${address.x} ${address.bottom}`);
    else pieces.push(`L${address.right} ${address.y}`);
    const into = node ?? home;
    if (into) {
      const port = into.top + Math.min(20, (into.bottom - into.top) / 2);
      pieces.push(
        this.upright
          ? `C${address.x} ${address.bottom + 14} ${gutter} ${address.bottom + 2} ${gutter} ${address.bottom + 22}V${port - 16}Q${gutter} ${port} ${into.left} ${port}`
          : `C${address.right + 60} ${address.y} ${into.left - 60} ${port} ${into.left} ${port}`,
      );
      if (end && home) {
        if (home !== into) {
          const bulge = this.upright ? gutter - 4 : into.left - 46;
          pieces.push(`C${bulge} ${port + 4} ${bulge} ${end.y} ${home.left} ${end.y}`);
          pieces.push(`L${end.left} ${end.y}`);
        } else pieces.push(`C${into.left + 14} ${port} ${end.left - 14} ${end.y} ${end.left} ${end.y}`);
      }
    }
    const path = draw("path", { d: pieces.join("") });
    const way = { d: pieces.join(""), path, length: path.getTotalLength() };
    this.ways.set(key, way);
    return way;
  }

  #links(model, rates) {
    const wanted = new Map();
    for (const [way, n] of rates.ways) wanted.set(way, n);
    if (!wanted.size && model.scene.announcer) wanted.set(`${model.scene.announcer}\n`, 0);
    const known = new Map([...this.links.children].map((line) => [line.dataset.way, line]));
    for (const [key, line] of known) if (!wanted.has(key)) line.remove();
    for (const [key, n] of wanted) {
      const [via, pod] = key.split("\n"),
        way = this.#way(via, pod);
      let line = known.get(key);
      if (!line) {
        line = draw("path", { class: "link" });
        line.dataset.way = key;
        this.links.append(line);
      }
      if (line.getAttribute("d") !== way.d) line.setAttribute("d", way.d);
      // In steps: each change has the whole drawing painted again.
      const width = Math.round(2 * Math.min(7, 1 + (5 * n) / Math.max(1, rates.all))) / 2;
      if (line.dataset.width !== `${width}`) line.style.strokeWidth = line.dataset.width = `${width}`;
    }
  }

  /** Send dots for what a frame says; with reduced motion the lines' widths have to do. */
  send(frame, outcomes) {
    if (this.still.matches || !this.at || document.hidden) return;
    let lost = 0;
    for (const [, via, pod, outcome, n] of frame.rows ?? []) {
      const kind = outcomes[outcome]?.[0];
      if (!kind || n <= 0) continue;
      const bad = kind === "failed";
      for (let i = 0; i < n && this.dots.length < MOST_DOTS; i++) {
        if (bad ? lost++ >= LOST_A_FRAME : (this.budget -= 1) < 0) break;
        this.dots.push({
          via,
          pod,
          bad,
          where: bad ? place(via, pod) : "",
          at: performance.now() + Math.random() * 140,
        });
      }
    }
  }

  /** Move the dots. */
  animate(now, elapsed) {
    this.budget = Math.min(8, Math.max(0, this.budget) + elapsed * DOTS_A_SECOND);
    if (!this.at) return;
    const context = this.canvas.getContext("2d"),
      style = getComputedStyle(this.root);
    if (this.dots.length || this.painted) context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.painted = this.dots.length > 0;
    const good = style.getPropertyValue("--ok"),
      bad = style.getPropertyValue("--bad");
    this.dots = this.dots.filter((dot) => now < dot.at + TRAVEL_MS + (dot.bad ? FADE_MS : 0));
    for (const dot of this.dots) {
      if (now < dot.at) continue;
      const way = this.#way(dot.via, dot.pod),
        part = Math.min(1, (now - dot.at) / TRAVEL_MS);
      const point = way.path.getPointAtLength(
        way.length * (part < 0.5 ? 2 * part * part : 1 - (2 - 2 * part) ** 2 / 2),
      );
      if (dot.bad && part === 1) {
        context.globalAlpha = Math.max(0, 1 - (now - dot.at - TRAVEL_MS) / FADE_MS);
        context.strokeStyle = bad;
        context.lineWidth = 2.5;
        dot.spread ??= [(Math.random() - 0.5) * 22, (Math.random() - 0.5) * 22];
        const [x, y] = [point.x + dot.spread[0] - 8, point.y + dot.spread[1]];
        context.beginPath();
        (context.moveTo(x - 4, y - 4),
          context.lineTo(x + 4, y + 4),
          context.moveTo(x + 4, y - 4),
          context.lineTo(x - 4, y + 4));
        context.stroke();
      } else {
        context.globalAlpha = 0.9;
        context.fillStyle = dot.bad ? bad : good;
        context.beginPath();
        context.arc(point.x, point.y, dot.bad ? 4 : 3, 0, 7);
        context.fill();
      }
    }
    context.globalAlpha = 1;
  }
}
