// The connection to the node: a WebSocket for events, and HTTP requests for everything else.

import { dropToken, headers, protocols } from "./access.js";

const RETRY_MIN = 500;
const RETRY_MAX = 5_000;
const LOAD_TIME = 10_000;

/**
 * Stays connected to the node. Dispatches:
 * - "connected", with the current state: `me`, `peers`, `messages`, `notices`, `members`, `mutes`
 * - "event", for each later event
 * - "disconnected", with `wait`, the milliseconds until the next attempt, `full`, whether the node has no WebSocket left,
 *   and `refused`, why the node does not serve this page, if it says so
 */
export class ChatNode extends EventTarget {
  #socket = null;
  #timer = 0;
  #failures = 0;

  /** Connects at once. */
  connect() {
    clearTimeout(this.#timer);
    if (this.#socket) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws?v=2`, protocols());
    this.#socket = socket;
    // Events that arrive before the lists are loaded.
    let waiting = [];
    let opened = false;
    socket.onopen = async () => {
      opened = true;
      try {
        const lists = ["/me", "/peers", "/messages", "/status", "/members", "/mutes"].map(load);
        const [me, peers, messages, { notices }, members, mutes] = await Promise.all(lists);
        if (socket !== this.#socket) return;
        this.#failures = 0;
        this.#dispatch("connected", { me, peers, messages, notices, members, mutes });
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
      const failure = opened ? null : await load("/me").then(() => "full", (error) => error);
      const full = failure === "full";
      const refused = failure instanceof Refusal ? failure.message : null;
      this.#socket = null;
      // A random factor, so that many pages do not reconnect at the same moment.
      const wait = Math.min(RETRY_MAX, RETRY_MIN * 2 ** this.#failures) * (0.5 + Math.random() / 2);
      this.#failures += 1;
      this.#timer = setTimeout(() => this.connect(), wait);
      this.#dispatch("disconnected", { wait, full, refused });
    };
  }

  /** Who is in the network, linked or not, and who was. */
  members() {
    return load("/members");
  }

  /** The messages before a line of an entry, in the order of the conversation. */
  before({ id, part }, limit) {
    return load(`/messages?limit=${limit}&before=${id}.${part}`);
  }

  /** Sends a text, or throws a `SendError`. */
  async say(msg) {
    await this.post("/send", { msg });
  }

  /** Asks the node to do something, or throws a `SendError`. */
  async post(path, body) {
    let response;
    try {
      response = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers() },
        body: JSON.stringify(body),
      });
    } catch {
      throw new SendError("The node cannot be reached. Your message is kept.", true);
    }
    if (response.ok) return;
    const { error } = await response.json().catch(() => ({ error: response.statusText }));
    throw new SendError(`${path === "/send" ? "Not sent" : "Not done"}: ${error}.`, response.status === 503);
  }

  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Why a text was not sent, and whether the cause is temporary. */
export class SendError extends Error {
  constructor(message, temporary) {
    super(message);
    this.temporary = temporary;
  }
}

/** The node does not serve this page. */
class Refusal extends Error {}

async function load(path) {
  const response = await fetch(path, { headers: headers(), signal: AbortSignal.timeout(LOAD_TIME) });
  if (response.ok) return response.json();
  // A token that was right may be another one after a restart, and the user who runs the node needs none.
  if (response.status === 401) dropToken();
  const { error } = await response.json().catch(() => ({ error: response.statusText }));
  throw response.status === 401 || response.status === 403 ? new Refusal(error) : new Error(error);
}
