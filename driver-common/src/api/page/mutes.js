// Whom the user does not want to hear. The node keeps the list, for its terminal and all pages.

/** Where pages kept a list of their own. */
const BEFORE = "muted";

/** Dispatches "change". */
export class Mutes extends EventTarget {
  #node;
  #tell;
  /** The name that each had then, by node id. */
  #muted = new Map();

  /** `tell` shows a line to the reader alone. */
  constructor(node, tell) {
    super();
    this.#node = node;
    this.#tell = tell;
  }

  has(nodeId) {
    return this.#muted.has(nodeId);
  }

  /** The muted people: node ids and names. */
  list() {
    return [...this.#muted];
  }

  /** The node says that these are all. */
  replace(list) {
    this.#muted = new Map(list.map(({ id, name }) => [id, name]));
    this.#changed();
    this.#takeOver();
  }

  /** The node says that this one is muted, or no longer. */
  put(nodeId, name, muted) {
    if (muted) this.#muted.set(nodeId, name);
    else this.#muted.delete(nodeId);
    this.#changed();
  }

  /** Throws what went wrong. */
  async add(id, name) {
    await this.#node.post("/mute", { id, name });
    this.put(id, name, true);
  }

  /** Throws what went wrong. */
  async remove(id) {
    await this.#node.post("/unmute", { id });
    this.put(id, "", false);
  }

  /** Mutes, or undoes it, and tells what went wrong. */
  toggle(nodeId, name) {
    const done = this.has(nodeId) ? this.remove(nodeId) : this.add(nodeId, name);
    done.catch(({ message }) => this.#tell(message));
  }

  /** The list that this page kept itself goes to the node, once. */
  async #takeOver() {
    const stored = localStorage.getItem(BEFORE);
    if (stored === null) return;
    localStorage.removeItem(BEFORE);
    let list;
    try {
      list = JSON.parse(stored);
    } catch {
      return;
    }
    for (const [place, [id, name]] of list.entries()) {
      try {
        if (!this.has(id)) await this.add(id, name);
      } catch (error) {
        // Where the node is gone, the rest waits. What it refuses cannot be taken over.
        if (error.temporary) {
          localStorage.setItem(BEFORE, JSON.stringify(list.slice(place)));
          return;
        }
      }
    }
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
