// What is known of a run at an instant: the sum of all frames until then. It knows nothing of the page.

const PER_DECADE = 10;
const RECENT_S = 1.0;

const second = () => ({ pods: new Map(), answered: 0, failed: 0, times: new Map(), slowest: 0 });

/** The run, as far as frames have told it. */
export class Model {
  constructor(head) {
    this.head = head;
    this.t = 0;
    this.scene = { nodes: [], pods: [], announcer: "", ready: null };
    this.clocks = {};
    this.fault = null;
    this.ahead = null;
    this.end = null;
    this.gone = "";
    this.story = [];
    this.marks = [];
    this.seconds = new Map();
    this.total = { answered: 0, failed: 0 };
    /** Where requests were lost, and how many: `address`, `node NAME` or `pod NAME`. */
    this.lost = new Map();
    /** Pods in the order in which they were first seen, and on which node. */
    this.pods = new Map();
    this.recent = [];
  }

  /** Take what a frame says. */
  apply(frame) {
    this.t = Math.max(this.t, frame.t);
    if (frame.head) this.head = frame.head;
    for (const key of ["scene", "clocks", "fault", "ahead", "end", "gone"])
      if (key in frame) this[key] = frame[key];
    if (frame.scene)
      for (const pod of frame.scene.pods) this.pods.set(pod.name, pod.node || this.pods.get(pod.name) || "");
    if (frame.say) this.story = [...this.story, ...frame.say].sort((a, b) => a.t - b.t);
    if (frame.marks) this.marks.push(...frame.marks);
    for (const row of frame.rows ?? []) this.#count(row);
    for (const [at, bucket, n] of frame.times ?? []) {
      const times = this.#second(at).times;
      times.set(bucket, (times.get(bucket) ?? 0) + n);
    }
    for (const [at, ms] of frame.slowest ?? []) {
      const one = this.#second(at);
      one.slowest = Math.max(one.slowest, ms);
    }
    if (frame.rows) this.recent.push({ t: frame.t, rows: frame.rows });
  }

  #second(at) {
    if (!this.seconds.has(at)) this.seconds.set(at, second());
    return this.seconds.get(at);
  }

  #count([at, via, pod, outcome, n]) {
    const kind = this.head.outcomes[outcome]?.[0];
    if (!kind) return;
    this.total[kind] += n;
    const one = this.#second(at);
    one[kind] += n;
    if (kind === "answered") {
      one.pods.set(pod, (one.pods.get(pod) ?? 0) + n);
      if (pod && !this.pods.has(pod)) this.pods.set(pod, "");
    } else {
      const where = place(via, pod);
      this.lost.set(where, (this.lost.get(where) ?? 0) + n);
    }
  }

  /** Requests that ended within the last second: those of a pod, of a node that received them, and all. */
  rates(now) {
    this.recent = this.recent.filter((one) => one.t > now - RECENT_S && one.t <= now + RECENT_S);
    const result = { all: 0, failed: 0, pods: new Map(), via: new Map(), ways: new Map() };
    for (const { rows } of this.recent) {
      for (const [, via, pod, outcome, n] of rows) {
        const kind = this.head.outcomes[outcome]?.[0];
        if (!kind) continue;
        result.all += n;
        result.via.set(via, (result.via.get(via) ?? 0) + n);
        if (kind === "failed") result.failed += n;
        else {
          result.pods.set(pod, (result.pods.get(pod) ?? 0) + n);
          const way = `${via}\n${pod}`;
          result.ways.set(way, (result.ways.get(way) ?? 0) + n);
        }
      }
    }
    return result;
  }
}

/** Where a request was lost: at the pod to which it was sent, at the node that received it, or on the way there. */
export function place(via, pod) {
  if (pod) return `pod ${pod}`;
  return via ? `node ${via}` : "address";
}

/** The answer time that so large a part of a second's answers did not exceed. */
export function percentile(times, share) {
  let total = 0;
  for (const n of times.values()) total += n;
  if (!total) return null;
  let left = Math.max(1, Math.ceil(total * share));
  for (const bucket of [...times.keys()].sort((a, b) => a - b)) {
    left -= times.get(bucket);
    if (left <= 0) return 10 ** ((bucket + 0.5) / PER_DECADE);
  }
  return null;
}
