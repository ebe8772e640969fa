// The messages and notices.

import { avatar, element, setRichText, shortId, who } from "./text.js";

/** The maximum number of lines. Older ones are removed, unless the reader looks at them. */
const LINES = 1_000;
/** The maximum number of lines while the reader looks at older ones. */
const MOST_LINES = 20_000;
/** A message that is longer, in UTF-16 units, is continued in another one. */
const LONGEST = 32_000;
/** Consecutive messages of one author within this time, in milliseconds, are grouped under one name. */
const GROUP = 5 * 60_000;
/** Within this distance from the end, in pixels, the log follows new messages. */
const NEAR = 48;

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export class Log {
  #log = document.getElementById("log");
  #toEnd = document.getElementById("to-end");
  /** Whether to scroll to new messages. */
  #following = true;
  /** In the order of the conversation. Fresh ones are shown in the next frame, so a burst costs one layout. */
  #lines = [];
  #frame = 0;
  /** How many messages have come since the reader scrolled up. */
  #newer = 0;
  /** The keys of the messages among them. */
  #keys = new Set();

  constructor() {
    let top = 0;
    this.#log.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.#log;
      const atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
      // Only the reader scrolls up. Added lines and a smaller box move the end down instead.
      if (atEnd || scrollTop < top) this.#following = atEnd;
      if (atEnd) this.#atEnd();
      top = scrollTop;
    }, { passive: true });
    this.#toEnd.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.#following && this.toEnd()).observe(this.#log);
  }

  /**
   * Adds a message; `own` means that this node sent it. `place`, an array of numbers and texts, orders it among the
   * others. `before` says that the reader looks for what was before, so it is not news. Returns false if a message with
   * this `key` exists already. All versions of a fork have the same `number`. Lines with the same `whole` are one message.
   * `mentions` says that it names the reader.
   */
  message({ nodeId, from, content, at, own, place, key, number, marks, whole, mentions, before = false }) {
    if (key && this.#keys.has(key)) return false;
    if (this.#continues(whole, content, key, place)) return true;
    const article = element("article", own ? "message own" : "message");
    article.classList.toggle("mention", Boolean(mentions));
    article.dataset.nodeId = nodeId;
    const head = element("div", "head");
    head.append(who(from, shortId(nodeId)), " ");
    if (own) head.append(element("span", "you", "you"), " ");
    for (const { word, title } of marks) head.append(markElement(word, title), " ");
    head.append(timeElement(at));
    const action = /^\/me +(?=\S)/u.exec(content);
    const text = element("p", action ? "text action" : "text");
    setRichText(text, action ? content.slice(action[0].length) : content);
    text.dir = "auto";
    article.append(avatar(nodeId, from), head, text);
    const group = [nodeId, from, ...marks.map(({ word }) => word)].join(" ");
    this.#add({ element: article, at, place, last: place, key, number, group, whole, text, content, before });
    return true;
  }

  /** Adds a line to the message that it is a part of, if that is the one before it. Returns whether it did. */
  #continues(whole, content, key, place) {
    const line = whole && this.#lines.findLast((line) => line.whole === whole);
    // An earlier part, which is loaded later, stands alone.
    if (line && compare(place, line.last) < 0) return false;
    // Code and links do not go over the end of a line, but their text may have been cut anyway: at a bound.
    if (!line || line.content.length > LONGEST) return false;
    line.content += `\n${content}`;
    line.last = place;
    setRichText(line.text, line.content);
    this.#keys.add(key);
    return true;
  }

  /** Shows or hides what this node says. */
  setMuted(isMuted) {
    for (const { element } of this.#lines) {
      if (element.dataset.nodeId) element.hidden = isMuted(element.dataset.nodeId);
    }
  }

  /** Adds a mark to all messages with this number that do not have it. */
  mark(number, { word, title }) {
    for (const [index, line] of this.#lines.entries()) {
      if (line.number !== number) continue;
      const marked = [...line.element.querySelectorAll(".mark")].some((mark) => mark.textContent === word);
      if (marked) continue;
      line.element.querySelector(".head time").before(markElement(word, title), " ");
      line.group += ` ${word}`;
      this.#relate(index);
      this.#relate(index + 1);
    }
  }

  /** Adds a notice made of texts and elements. */
  notice(parts, at = Date.now()) {
    const line = element("p", "notice");
    line.append(...parts, " ", timeElement(at));
    this.#add({ element: line, at, place: null, key: null, group: null });
  }

  #atEnd() {
    this.#newer = 0;
    this.#toEnd.hidden = true;
  }

  toEnd() {
    this.#following = true;
    this.#atEnd();
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  /** Inserts a line in the order of the conversation, whenever it arrived. */
  #add(line) {
    let index = this.#lines.length;
    for (let i = index - 1; line.place && i >= 0; i -= 1) {
      const { place } = this.#lines[i];
      if (place && compare(place, line.place) <= 0) break;
      if (place) index = i;
    }
    this.#lines.splice(index, 0, Object.assign(line, { fresh: true, day: day.format(line.at), heading: null }));
    if (line.key) this.#keys.add(line.key);
    this.#relate(index);
    this.#relate(index + 1);
    this.#frame ||= requestAnimationFrame(() => this.#show());
    // Hidden pages get no animation frames.
    if (this.#lines.length >= (this.#following ? 2 * LINES : MOST_LINES)) this.#trim();
  }

  /** Updates what depends on the previous line: the heading of a new day, and the grouping of messages. */
  #relate(index) {
    const line = this.#lines[index];
    if (!line) return;
    const before = this.#lines[index - 1];
    const begins = before?.day !== line.day;
    if (begins && !line.heading) {
      line.heading = element("h3", "day", line.day);
      if (!line.fresh) line.element.before(line.heading);
    } else if (!begins && line.heading) {
      line.heading.remove();
      line.heading = null;
    }
    if (!line.group) return;
    const follows = !begins && line.group === before.group && Math.abs(line.at - before.at) < GROUP;
    line.element.classList.toggle("follows", follows);
    line.element.title = follows ? full.format(line.at) : "";
  }

  #trim() {
    for (const { element, heading, key } of this.#lines.splice(0, this.#lines.length - LINES)) {
      heading?.remove();
      element.remove();
      this.#keys.delete(key);
    }
    this.#relate(0);
  }

  #show() {
    this.#frame = 0;
    document.getElementById("empty")?.remove();
    if (this.#following && this.#lines.length > LINES) this.#trim();
    const seen = this.#lines.find(({ element, fresh }) => !fresh && this.#isSeen(element));
    const offset = seen?.element.offsetTop;
    let run = [];
    for (const line of this.#lines) {
      if (line.fresh) {
        line.fresh = false;
        if (line.group && !line.before && !this.#following) this.#newer += 1;
        run.push(...[line.heading, line.element].filter(Boolean));
      } else if (run.length > 0) {
        (line.heading ?? line.element).before(...run);
        run = [];
      }
    }
    this.#log.append(...run);
    if (this.#following) this.toEnd();
    else {
      // What the reader looks at stays where it is.
      if (seen) this.#log.scrollTop += seen.element.offsetTop - offset;
      if (this.#newer > 0) {
        this.#toEnd.hidden = false;
        this.#toEnd.textContent = this.#newer === 1 ? "1 newer message" : `${this.#newer} newer messages`;
      }
    }
  }

  /** Whether it is not above of what the reader sees. */
  #isSeen(element) {
    return element.offsetTop + element.offsetHeight > this.#log.scrollTop + this.#log.offsetTop;
  }
}

/** Compares two places. Returns a number below, equal to or above zero. */
function compare(one, other) {
  const at = one.findIndex((part, index) => part !== other[index]);
  if (at < 0) return one.length - other.length;
  return at >= other.length || one[at] > other[at] ? 1 : -1;
}

function markElement(word, title) {
  const made = element("span", "mark", word);
  made.title = title;
  return made;
}

function timeElement(at) {
  const made = element("time", "", time.format(at));
  made.dateTime = new Date(at).toISOString();
  made.title = full.format(at);
  return made;
}
