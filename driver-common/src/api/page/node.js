// The node, as long as it is there: one WebSocket for what happens, requests for the rest.

const RETRY_MIN = 500;
const RETRY_MAX = 5_000;
const LOAD_TIME = 10_000;

/**
 * Keeps a connection to the node. Dispatches:
 * - "connected", with what is known at that moment: `me`, `peers`, `messages`, `notices`
 * - "event", for each event after that
 * - "disconnected", with `wait`, the milliseconds until the next attempt, and `full`: it is there but has no WebSocket left
 */
export class ChatNode extends EventTarget {
  #socket = null;
  #timer = 0;
  #failures = 0;

  /** Connects, now. */
  connect() {
    clearTimeout(this.#timer);
    if (this.#socket) return;
    const socket = new WebSocket(`ws://${location.host}/ws`);
    this.#socket = socket;
    // What happens before the lists are loaded waits for them.
    let waiting = [];
    let opened = false;
    socket.onopen = async () => {
      opened = true;
      try {
        const lists = ["/me", "/peers", "/messages", "/status"].map(load);
        const [me, peers, messages, { notices }] = await Promise.all(lists);
        if (socket !== this.#socket) return;
        this.#failures = 0;
        this.#dispatch("connected", { me, peers, messages, notices });
        for (const event of waiting) this.#dispatch("event", event);
        waiting = null;
      } catch {
        socket.close();
      }
    };
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (waiting) waiting.push(event);
      else this.#dispatch("event", event);
    };
    socket.onclose = async () => {
      const full = !opened && (await load("/me").then(() => true, () => false));
      this.#socket = null;
      // Many pages that lost one node do not all come back at one moment.
      const wait = Math.min(RETRY_MAX, RETRY_MIN * 2 ** this.#failures) * (0.5 + Math.random() / 2);
      this.#failures += 1;
      this.#timer = setTimeout(() => this.connect(), wait);
      this.#dispatch("disconnected", { wait, full });
    };
  }

  /** Says a text; throws an `SendError`. */
  async say(msg) {
    let response;
    try {
      response = await fetch("/send", { method: "POST", body: JSON.stringify({ msg }) });
    } catch {
      throw new SendError("The node cannot be reached. Your message is kept.", true);
    }
    if (response.ok) return;
    const { error } = await response.json().catch(() => ({ error: response.statusText }));
    throw new SendError(`Not sent: ${error}.`, response.status === 503);
  }

  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Why something was not said, and whether that may pass. */
export class SendError extends Error {
  constructor(message, temporary) {
    super(message);
    this.temporary = temporary;
  }
}

async function load(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(LOAD_TIME) });
  if (!response.ok) throw new Error(response.statusText);
  return response.json();
}
