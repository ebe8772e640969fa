// The list of people.

import { avatar, element, shortId, who } from "./text.js";

/** The most people who are drawn: those linked, then those heard last. Anybody can bring about any number. */
const DRAWN = 150;
const DRAWN_AWAY = 50;

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
  #more = document.getElementById("more");
  #moreAway = document.getElementById("more-away");
  #frame = 0;
  #mutes;
  #rename;

  /** `rename` is called when the user wants another name. */
  constructor(mutes, rename) {
    this.#mutes = mutes;
    this.#rename = rename;
    mutes.addEventListener("change", () => this.#show());
  }

  /** How many peers are linked. */
  get count() {
    return this.#peers.size;
  }

  /** The others that have this name or id. */
  called(name) {
    const is = ({ node_id: nodeId, uname }) => [uname, nodeId, shortId(nodeId)].includes(name);
    return this.#others().filter(is);
  }

  /** Shows these members, too. */
  setMembers(members) {
    const known = ({ id, name, key, state, last_heard }) => [id, { node_id: id, uname: name, key, state, last_heard }];
    this.#members = new Map(members.map(known));
    this.#show();
  }

  /** Shows the node itself, these peers, and these members. */
  replace(me, peers, members) {
    this.#me = me;
    this.#peers = new Map(peers.map((peer) => [peer.node_id, peer]));
    this.setMembers(members);
  }

  /** There is news of a member. */
  putMember({ node_id, uname, key, state, heard }) {
    this.#members.set(node_id, { node_id, uname, key, state, last_heard: heard });
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
    const others = [this.#me, ...this.#others()].filter((peer) => peer.node_id !== nodeId);
    return others.some(({ uname }) => uname === name) ? shortId(nodeId) : "";
  }

  /** All but this node: the linked peers first. */
  #others() {
    const far = [...this.#members.values()].filter(({ node_id: nodeId }) => !this.#peers.has(nodeId));
    return [...this.#peers.values(), ...far];
  }

  /** Draws the list in the next frame, so many changes cost one layout. */
  #show() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    if (!this.#me) return;
    const isHere = ({ node_id: nodeId, state }) => this.#peers.has(nodeId) || state === "here";
    const others = this.#others().filter(({ node_id: nodeId }) => nodeId !== this.#me.node_id);
    const here = others.filter(isHere);
    const away = others.filter((peer) => !isHere(peer));
    // In a crowd, the linked peers would be hard to find.
    const apart = ({ node_id: nodeId }) => here.length > DRAWN && !this.#peers.has(nodeId);
    const inOrder = (one, other) => apart(one) - apart(other) || byName(one, other);
    const entries = (people, most) => latest(people, most).sort(inOrder).map((peer) => this.#entry(peer, false));
    this.#list.replaceChildren(this.#entry(this.#me, true), ...entries(here, DRAWN));
    this.#away.replaceChildren(...entries(away, DRAWN_AWAY));
    showMore(this.#more, here.length - DRAWN);
    showMore(this.#moreAway, away.length - DRAWN_AWAY);
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
    const toggle = () => this.#mutes.toggle(peer.node_id, peer.uname);
    const word = muted ? "Unmute" : "Mute";
    if (!peer.key) entry.append(element("span", "mark", peer.version === 1 ? "version 1" : "unsigned"));
    entry.append(button(word, `${word} ${peer.uname}`, toggle));
    return entry;
  }
}

/** So many of them: the linked peers, then those who were heard last. */
function latest(people, most) {
  if (people.length <= most) return people;
  const heard = ({ last_heard: at }) => at ?? Infinity;
  return people.toSorted((one, other) => heard(other) - heard(one) || 0).slice(0, most);
}

function showMore(target, count) {
  target.hidden = count <= 0;
  target.textContent = `and ${count.toLocaleString()} more`;
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
