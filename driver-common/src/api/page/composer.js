// The message box. It keeps its text until the text was sent.

/** How often to try to send while the node is busy, and the pause between two attempts, in milliseconds. */
const TRIES = 10;
const PAUSE = 1_000;
/** What the tab keeps of the text that is being written. */
const DRAFT = "draft";
const EVERYBODY = "Message everybody";
const GONE = "The node is gone. What you write is kept";

export class Composer {
  #form = document.getElementById("composer");
  #box = document.getElementById("message");
  #send = document.getElementById("send");
  #problem = document.getElementById("problem");
  #node;
  #commands;
  #connected = false;
  #sending = false;

  constructor(node, commands) {
    this.#node = node;
    this.#commands = commands;
    this.#box.value = sessionStorage.getItem(DRAFT) ?? "";
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
    // Where there is a keyboard on the screen, it would cover the conversation.
    if (matchMedia("(pointer: coarse)").matches) return;
    this.#box.focus();
    // What is typed goes into the box, wherever the focus is.
    document.addEventListener("keydown", (event) => {
      const types = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey;
      if (types && !event.target.closest("input, textarea")) this.#box.focus();
    });
  }

  /** Begins a text, such as a command, if the box is empty. */
  begin(text) {
    this.#box.value ||= text;
    this.#box.focus();
    this.#update();
  }

  /** Whether the page is connected to its node. */
  set connected(connected) {
    this.#connected = connected;
    if (connected) this.#problem.textContent = "";
    this.#box.placeholder = connected ? EVERYBODY : GONE;
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
      const said = await this.#commands.run(text);
      if (said !== null) await this.#sendText(said);
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
    // It survives a reload.
    sessionStorage.setItem(DRAFT, this.#box.value);
    this.#send.disabled = !this.#connected || this.#sending || !this.#box.value.trim();
    // For browsers that cannot size the box by its text.
    this.#box.style.height = "auto";
    const { scrollHeight, offsetHeight, clientHeight } = this.#box;
    this.#box.style.height = `${scrollHeight + offsetHeight - clientHeight}px`;
  }
}
