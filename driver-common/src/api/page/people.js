// The list of people.

import { avatar, element, shortId, who } from "./text.js";

/** As people count: u2 before u10. */
const order = new Intl.Collator(undefined, { numeric: true });

export class People {
  #list = document.getElementById("peers");
  #alone = document.getElementById("alone");
  #count = document.getElementById("people-count");
  #title = document.getElementById("people-title");
  #me = null;
  #peers = new Map();
  /** Who is in the network, or was, as the node says: by id. */
  #members = new Map();
  #away = document.getElementById("away");
  #mutes;
  #rename;

  /** `rename` is called when the user wants another name. */
  constructor(mutes, rename) {
    this.#mutes = mutes;
    this.#rename = rename;
    mutes.addEventListener("change", () => this.#me && this.#show());
  }

  /** How many peers are linked. */
  get count() {
    return this.#peers.size;
  }

  /** The peers that have this name. */
  called(name) {
    return [...this.#peers.values()].filter(({ uname }) => uname === name);
  }

  /** Whether a member says that it is here, linked or not. */
  isHere(nodeId) {
    return this.#members.get(nodeId)?.state === "here";
  }

  /** Shows these members, too. */
  setMembers(members) {
    this.#members = new Map(members.map((member) => [member.id, member]));
    if (this.#me) this.#show();
  }

  /** Shows the node itself and these peers. */
  replace(me, peers) {
    this.#me = me;
    this.#peers = new Map(peers.map((peer) => [peer.node_id, peer]));
    this.#show();
  }

  /** Adds or updates a peer. Returns its previous state. */
  put(peer) {
    const known = this.#peers.get(peer.node_id);
    this.#peers.set(peer.node_id, peer);
    this.#show();
    return known;
  }

  /** Removes a peer. Returns its previous state. */
  remove(nodeId) {
    const known = this.#peers.get(nodeId);
    this.#peers.delete(nodeId);
    this.#show();
    return known;
  }

  /** Changes the name of the node's user. */
  rename(uname) {
    this.#me = { ...this.#me, uname };
    this.#show();
  }

  /** The short id if another person in the list has the same name, otherwise an empty text. */
  distinction(nodeId, name) {
    const others = [this.#me, ...this.#peers.values()].filter((peer) => peer.node_id !== nodeId);
    return others.some(({ uname }) => uname === name) ? shortId(nodeId) : "";
  }

  #show() {
    const others = [...this.#members.values()]
      .filter(({ id }) => !this.#peers.has(id) && id !== this.#me.node_id)
      .map(({ id, name, key, state, last_heard }) => ({ node_id: id, uname: name, key, state, last_heard }));
    const here = [...this.#peers.values(), ...others.filter(({ state }) => state === "here")].sort(byName);
    const away = others.filter(({ state }) => state !== "here").sort(byName);
    this.#list.replaceChildren(this.#entry(this.#me, true), ...here.map((peer) => this.#entry(peer, false)));
    this.#away.replaceChildren(...away.map((peer) => this.#entry(peer, false)));
    const count = here.length + 1;
    this.#count.textContent = count;
    this.#title.textContent = `Online (${count})`;
    this.#alone.hidden = here.length > 0;
  }

  #entry(peer, own) {
    const entry = element("li", own ? "peer own" : "peer");
    entry.dataset.nodeId = peer.node_id;
    const heard = peer.last_heard && `${peer.state === "left" ? "Left" : "Heard"} ${new Date(peer.last_heard).toLocaleString()}`;
    const about = [peer.uname, peer.node_id, peer.key, peer.remote_addr ?? peer.listen_addr, heard];
    entry.title = about.filter(Boolean).join("\n");
    entry.append(avatar(peer.node_id, peer.uname), who(peer.uname, shortId(peer.node_id)));
    if (own) {
      entry.append(element("span", "you", "you"), button("Rename", "Rename yourself", this.#rename));
      return entry;
    }
    const muted = this.#mutes.has(peer.node_id);
    entry.classList.toggle("muted", muted);
    const toggle = () => (muted ? this.#mutes.remove(peer.node_id) : this.#mutes.add(peer.node_id, peer.uname));
    const word = muted ? "Unmute" : "Mute";
    if (!peer.key) entry.append(element("span", "mark", peer.version === 1 ? "version 1" : "unsigned"));
    entry.append(button(word, `${word} ${peer.uname}`, toggle));
    return entry;
  }
}

function byName(one, other) {
  return order.compare(one.uname, other.uname) || (one.node_id < other.node_id ? -1 : 1);
}

function button(word, label, action) {
  const made = element("button", "small", word);
  made.type = "button";
  made.ariaLabel = label;
  made.addEventListener("click", action);
  return made;
}
