// The list of people.

import { avatar, element, shortId, who } from "./text.js";

export class People {
  #list = document.getElementById("peers");
  #alone = document.getElementById("alone");
  #count = document.getElementById("people-count");
  #title = document.getElementById("people-title");
  #me = null;
  #peers = new Map();

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
    const peers = [...this.#peers.values()].sort(
      (a, b) => a.uname.localeCompare(b.uname) || (a.node_id < b.node_id ? -1 : 1),
    );
    this.#list.replaceChildren(this.#entry(this.#me, true), ...peers.map((peer) => this.#entry(peer, false)));
    const count = peers.length + 1;
    this.#count.textContent = count;
    this.#title.textContent = `Online (${count})`;
    this.#alone.hidden = peers.length > 0;
  }

  #entry(peer, own) {
    const entry = element("li", own ? "peer own" : "peer");
    entry.dataset.nodeId = peer.node_id;
    entry.title = [peer.node_id, peer.key, peer.remote_addr ?? peer.listen_addr].filter(Boolean).join("\n");
    entry.append(avatar(peer.node_id, peer.uname), who(peer.uname, shortId(peer.node_id)));
    if (own) entry.append(element("span", "you", "you"));
    if (!peer.key) entry.append(element("span", "mark", peer.version === 1 ? "version 1" : "unsigned"));
    return entry;
  }
}
