// The message box. It keeps its text until the text was sent.

/** How often to try to send while the node is busy, and the pause between two attempts, in milliseconds. */
const TRIES = 10;
const PAUSE = 1_000;

export class Composer {
  #form = document.getElementById("composer");
  #box = document.getElementById("message");
  #send = document.getElementById("send");
  #problem = document.getElementById("problem");
  #node;
  #connected = false;
  #sending = false;

  constructor(node) {
    this.#node = node;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#box.addEventListener("keydown", (event) => {
      // Enter confirms the composition of an input method.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    this.#box.addEventListener("input", () => this.#update());
    if (matchMedia("(pointer: fine)").matches) this.#box.focus();
  }

  /** Whether the page is connected to its node. */
  set connected(connected) {
    this.#connected = connected;
    if (connected) this.#problem.textContent = "";
    this.#form.classList.toggle("off", !connected);
    this.#update();
  }

  async #submit() {
    const text = this.#box.value;
    if (!this.#connected || this.#sending || !text.trim()) return;
    this.#sending = true;
    this.#box.readOnly = true;
    this.#problem.textContent = "";
    this.#update();
    try {
      await this.#sendText(text);
      this.#box.value = "";
    } catch (error) {
      this.#problem.textContent = error.message;
    }
    this.#sending = false;
    this.#box.readOnly = false;
    this.#update();
    this.#box.focus();
  }

  async #sendText(text) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#node.say(text);
      } catch (error) {
        if (!error.temporary || !this.#connected || tries === TRIES) throw error;
        this.#problem.textContent = "Your peers are slow to receive messages. Trying again…";
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  }

  #update() {
    this.#send.disabled = !this.#connected || this.#sending || !this.#box.value.trim();
    // For browsers that cannot size the box by its text.
    this.#box.style.height = "auto";
    const { scrollHeight, offsetHeight, clientHeight } = this.#box;
    this.#box.style.height = `${scrollHeight + offsetHeight - clientHeight}px`;
  }
}
