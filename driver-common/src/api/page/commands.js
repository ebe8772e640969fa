// What is typed into the box and begins with a slash. It is never said to everybody by mistake.

import { shortId } from "./text.js";

/** A command that cannot be carried out, with the reason. */
export class Refused extends Error {}

const HELP = [
  "/me TEXT: say what you do",
  "/nick NAME: change your name",
  "/connect HOST:PORT: connect to a peer and stay connected",
  "/disconnect HOST:PORT: dial that address no more",
  "/mute NAME and /unmute NAME: hide what somebody says, and undo it",
  "//TEXT: send a text that starts with a slash",
];

export class Commands {
  #node;
  #people;
  #mutes;
  #tell;
  #renamed;

  /** `tell` shows a line to the reader alone. `renamed` is called with the user's new name. */
  constructor(node, people, mutes, tell, renamed) {
    this.#renamed = renamed;
    this.#node = node;
    this.#people = people;
    this.#mutes = mutes;
    this.#tell = tell;
  }

  /** The text to say, or null if it was a command, which is carried out. Throws what went wrong. */
  async run(entered) {
    const line = entered.trim();
    if (!line.startsWith("/")) return entered;
    if (line.startsWith("//")) return line.slice(1);
    if (line.includes("\n") && !/^\/me\s/u.test(line)) {
      throw new Refused("A command has one line. Start with // to send this as text");
    }
    const [, name, argument] = /^\/(\S*)\s*(.*)$/su.exec(line);
    if (name === "me") {
      if (!argument) throw new Refused("/me TEXT: say what you do, as in /me waves");
      return `/me ${argument}`;
    }
    await this.#command(name, argument);
    return null;
  }

  async #command(name, argument) {
    switch (name) {
      case "help":
        HELP.forEach((line) => this.#tell(line));
        break;
      case "nick":
        await this.#node.post("/nick", { uname: argument });
        this.#renamed(argument);
        this.#tell(`You are now ${argument}`);
        break;
      case "connect":
        await this.#node.post("/connect", { addr: argument });
        this.#tell(`Connecting to ${argument}`);
        break;
      case "disconnect":
        await this.#node.post("/disconnect", { addr: argument });
        this.#tell(`${argument} is dialed no more`);
        break;
      case "mute": {
        const found = this.#people.called(argument);
        if (found.length !== 1) {
          const why = found.length ? "several people are called" : "nobody here is called";
          throw new Refused(`/mute: ${why} ${argument || "that"}. Use the id, or the button in the list of people`);
        }
        const [{ node_id: nodeId, uname }] = found;
        await this.#mutes.add(nodeId, uname);
        this.#tell(`${uname} is muted`);
        break;
      }
      case "unmute": {
        const found = this.#mutes
          .list()
          .filter(([nodeId, muted]) => [muted, nodeId, shortId(nodeId)].includes(argument));
        if (found.length === 0) throw new Refused(`/unmute: ${argument || "nobody"} is not muted`);
        if (found.length > 1) throw new Refused(`/unmute: several people called ${argument} are muted. Use the id`);
        const [[nodeId, muted]] = found;
        await this.#mutes.remove(nodeId);
        this.#tell(`${muted} is no longer muted`);
        break;
      }
      default:
        throw new Refused(`There is no command /${name} on this page. See /help, or start with // to send it as text`);
    }
  }
}
