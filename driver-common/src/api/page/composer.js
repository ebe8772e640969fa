// The box to write in. What was written leaves it only when it was said.

/** How often what the node cannot take yet is tried, and how long after each other. */
const TRIES = 10;
const PAUSE = 1_000;

export class Composer {
  #form = document.getElementById("composer");
  #box = document.getElementById("message");
  #send = document.getElementById("send");
  #problem = document.getElementById("problem");
  #node;
  #here = false;
  #sending = false;

  constructor(node) {
    this.#node = node;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#box.addEventListener("keydown", (event) => {
      // While an input method composes, Enter belongs to it.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    this.#box.addEventListener("input", () => this.#update());
    if (matchMedia("(pointer: fine)").matches) this.#box.focus();
  }

  /** Whether there is a node to say it. */
  set here(here) {
    this.#here = here;
    if (here) this.#problem.textContent = "";
    this.#form.classList.toggle("off", !here);
    this.#update();
  }

  async #submit() {
    const text = this.#box.value;
    if (!this.#here || this.#sending || !text.trim()) return;
    this.#sending = true;
    this.#box.readOnly = true;
    this.#problem.textContent = "";
    this.#update();
    try {
      await this.#say(text);
      this.#box.value = "";
    } catch (unsaid) {
      this.#problem.textContent = unsaid.message;
    }
    this.#sending = false;
    this.#box.readOnly = false;
    this.#update();
    this.#box.focus();
  }

  async #say(text) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#node.say(text);
      } catch (unsaid) {
        if (!unsaid.passing || !this.#here || tries === TRIES) throw unsaid;
        this.#problem.textContent = "The others are slow to take it. Trying again…";
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  }

  #update() {
    this.#send.disabled = !this.#here || this.#sending || !this.#box.value.trim();
    // Where the browser cannot size the box by its text itself.
    this.#box.style.height = "auto";
    const { scrollHeight, offsetHeight, clientHeight } = this.#box;
    this.#box.style.height = `${scrollHeight + offsetHeight - clientHeight}px`;
  }
}
