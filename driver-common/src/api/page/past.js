// What was said before, which the node has on its disk: it is loaded as the reader scrolls up.

/** So many lines are loaded together. */
const PAGE = 100;
/** Within this distance from the beginning, in pixels, more is loaded. */
const NEAR = 600;

export class Past {
  #log = document.getElementById("log");
  #node;
  #show;
  /** The oldest message that came from a node with a key. Null: there is nothing before. */
  #oldest = null;
  #loading = false;

  /** Loads from this node. `show` shows a message. */
  constructor(node, show) {
    this.#node = node;
    this.#show = show;
    this.#log.addEventListener("scroll", () => this.#load(), { passive: true });
  }

  /** These messages are shown, in the order of the conversation. */
  shown(messages) {
    this.#oldest ??= messages.find(({ entry }) => entry)?.entry ?? null;
  }

  async #load() {
    if (this.#loading || !this.#oldest || this.#log.scrollTop > NEAR) return;
    this.#loading = true;
    try {
      const messages = await this.#node.before(this.#oldest, PAGE);
      this.#oldest = messages.find(({ entry }) => entry)?.entry ?? null;
      for (const message of messages) this.#show(message);
    } catch {
      // The next scroll tries again.
    } finally {
      this.#loading = false;
    }
  }
}
