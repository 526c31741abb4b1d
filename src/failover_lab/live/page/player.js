// Where in a run the page is: at its end while it goes on, or anywhere, at any speed, forwards and back.

import { Model } from "./model.js";

/** Plays frames. `shown(frame)` is called for each that is passed on the way forward. */
export class Player {
  constructor(shown) {
    this.shown = shown;
    this.frames = [];
    this.head = null;
    this.live = false;
    this.following = false;
    this.playing = false;
    this.speed = 1;
    this.t = 0;
    this.next = 0;
    this.model = null;
    this.#heard = { t: 0, at: 0 };
  }
  #heard;

  /** Begin with a film. */
  load({ head, frames, replay }) {
    const back = this.live && !this.following ? this.t : null;
    this.head = head;
    this.frames = frames;
    this.live = !replay;
    this.playing = true;
    if (this.live && back === null) this.follow();
    else this.seek(back ?? 0);
    this.#hear(frames.at(-1)?.t ?? 0);
  }

  /** Take what is new. */
  add(frame) {
    this.frames.push(frame);
    if (frame.head) this.head = frame.head;
    this.#hear(frame.t);
    if (this.following) this.#forward(frame.t);
  }

  #hear(t) {
    this.#heard = { t, at: performance.now() };
  }

  get first() {
    return this.frames[0]?.t ?? 0;
  }

  /** The instant that is the last by now; while a run goes on it moves by itself. */
  get last() {
    const told = this.frames.at(-1)?.t ?? 0;
    if (!this.live || this.model?.end || this.ended) return told;
    return Math.max(told, this.#heard.t + Math.min(2, (performance.now() - this.#heard.at) / 1000));
  }

  get ended() {
    return Boolean(this.frames.at(-1)?.end);
  }

  /** Go to the end, and stay there. */
  follow() {
    this.following = true;
    this.speed = 1;
    this.#rebuild(Infinity);
    this.t = this.last;
  }

  /** Go to an instant. */
  seek(t) {
    const to = Math.min(Math.max(t, this.first), this.last);
    this.following = this.live && !this.ended && to >= this.last - 0.2;
    if (to < this.t || !this.model) this.#rebuild(to);
    else this.#forward(to, false);
    this.t = to;
  }

  /** Let time pass. */
  tick(elapsed) {
    if (!this.model) return;
    if (this.following) {
      this.t = this.last;
      if (this.ended) this.following = false;
      return;
    }
    if (!this.playing) return;
    const to = this.t + elapsed * this.speed;
    if (this.speed < 0) this.seek(to);
    else {
      this.#forward(Math.min(to, this.last));
      this.t = Math.min(to, this.last);
    }
    const over = this.speed < 0 ? to <= this.first : to >= this.last;
    if (!over) return;
    if (this.live && !this.ended) this.following = true;
    else this.playing = false;
  }

  /** Start or stop; at the end, begin again. */
  toggle() {
    if (this.following) ((this.following = false), (this.playing = false));
    else {
      this.playing = !this.playing;
      if (this.playing && this.speed > 0 && this.t >= this.last && !(this.live && !this.ended))
        this.seek(this.first);
    }
  }

  #rebuild(to) {
    this.model = new Model(this.head);
    this.next = 0;
    this.#forward(to, false);
  }

  #forward(to, show = true) {
    while (this.next < this.frames.length && this.frames[this.next].t <= to) {
      const frame = this.frames[this.next++];
      this.model.apply(frame);
      if (show) this.shown(frame);
    }
  }
}
