// What was said, and when.

import { avatar, element, who } from "./text.js";

/** The most lines kept; older ones go. */
const LINES = 1_000;
/** Messages of one speaker that follow each other within this time stand under one name. */
const GROUP = 5 * 60_000;
/** So near to the end, in pixels, the reader is at the end. */
const NEAR = 48;

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export class Log {
  #log = document.getElementById("log");
  #toEnd = document.getElementById("to-end");
  /** The end is in sight, so it stays in sight. */
  #following = true;
  /** Lines for the next frame: a burst costs one layout, not one a message. */
  #waiting = [];
  #last = { speaker: null, at: 0, day: "" };

  constructor() {
    let top = 0;
    this.#log.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.#log;
      const atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
      // Only the reader goes up: what is added, and a box that shrinks, leaves the end below without that.
      if (atEnd || scrollTop < top) this.#following = atEnd;
      if (atEnd) this.#toEnd.hidden = true;
      top = scrollTop;
    }, { passive: true });
    this.#toEnd.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.#following && this.toEnd()).observe(this.#log);
  }

  /** A message: `own` ones were said at this node. */
  message({ nodeId, from, distinction, content, at, own }) {
    const speaker = `${nodeId} ${from} ${distinction}`;
    const follows = speaker === this.#last.speaker && at - this.#last.at < GROUP && day.format(at) === this.#last.day;
    const line = element("article", own ? "message own" : "message");
    line.classList.toggle("follows", follows);
    const head = element("div", "head");
    head.append(who(from, distinction), " ");
    if (own) head.append(element("span", "you", "you"), " ");
    head.append(timeElement(at));
    const text = element("p", "text", content);
    text.dir = "auto";
    line.append(avatar(nodeId, from), head, text);
    if (follows) line.title = full.format(at);
    this.#append(line, at, speaker);
  }

  /** A quiet line of texts and elements. */
  notice(parts, at = Date.now()) {
    const line = element("p", "notice");
    line.append(...parts, " ", timeElement(at));
    this.#append(line, at, null);
  }

  toEnd() {
    this.#following = true;
    this.#toEnd.hidden = true;
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  #append(line, at, speaker) {
    const today = day.format(at);
    if (this.#waiting.length === 0) requestAnimationFrame(() => this.#show());
    if (today !== this.#last.day) this.#waiting.push(element("h3", "day", today));
    this.#waiting.push(line);
    this.#last = { speaker, at, day: today };
    // Hidden pages get no frames.
    if (this.#waiting.length >= 2 * LINES) this.#waiting.splice(0, LINES);
  }

  #show() {
    document.getElementById("empty")?.remove();
    this.#log.append(...this.#waiting.splice(0).slice(-LINES));
    while (this.#log.childElementCount > LINES) this.#log.firstElementChild.remove();
    if (this.#following) this.toEnd();
    else this.#toEnd.hidden = false;
  }
}

function timeElement(at) {
  const made = element("time", "", time.format(at));
  made.dateTime = new Date(at).toISOString();
  made.title = full.format(at);
  return made;
}
