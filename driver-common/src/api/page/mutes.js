// Whom the reader of this page does not want to hear. The browser keeps it.

const NAME = "muted";
/** The most people who can be muted. */
const MOST = 1_000;

/** Dispatches "change". */
export class Mutes extends EventTarget {
  /** The name that each had then, by node id. */
  #muted = new Map(stored());

  has(nodeId) {
    return this.#muted.has(nodeId);
  }

  /** The muted people: node ids and names. */
  list() {
    return [...this.#muted];
  }

  add(nodeId, name) {
    this.#muted.set(nodeId, name);
    if (this.#muted.size > MOST) this.#muted.delete(this.#muted.keys().next().value);
    this.#changed();
  }

  remove(nodeId) {
    this.#muted.delete(nodeId);
    this.#changed();
  }

  #changed() {
    localStorage.setItem(NAME, JSON.stringify([...this.#muted]));
    this.dispatchEvent(new Event("change"));
  }
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? [];
  } catch {
    return [];
  }
}
