// Connects the parts: events of the node update the page.

import { takeToken } from "./access.js";
import { Arrivals } from "./arrivals.js";
import { Commands } from "./commands.js";
import { Composer } from "./composer.js";
import { Log } from "./log.js";
import { ChatNode } from "./node.js";
import { Past } from "./past.js";
import { People } from "./people.js";
import { FORKED, marks } from "./marks.js";
import { Mutes } from "./mutes.js";
import { bytes, names, who } from "./text.js";

const status = document.getElementById("status");
const statusText = document.getElementById("status-text");
const disconnected = document.getElementById("disconnected");
const disconnectedTitle = document.getElementById("disconnected-title");
const disconnectedText = document.getElementById("disconnected-text");
const toggle = document.getElementById("people-toggle");
const lonely = document.getElementById("lonely");
const lonelyText = document.getElementById("lonely-text");
const notify = document.getElementById("notify");

const node = new ChatNode();
const mutes = new Mutes(node, (text) => log.notice([text]));
const arrivals = new Arrivals();
const people = new People(mutes, () => composer.begin("/nick "));
const log = new Log();
const commands = new Commands(node, people, mutes, (text) => log.notice([text]), renamed);
const composer = new Composer(node, commands);

const past = new Past(node, (message) => showMessage(message, true));

let me = null;
/** The id of the newest message shown. */
let newest = 0;
/** The number of messages received while the page was hidden. */
let unseen = 0;

node.addEventListener("connected", ({ detail }) => {
  const restarted = me && (me.node_id !== detail.me.node_id || me.started !== detail.me.started);
  const ids = detail.messages.map(({ id }) => id);
  const missed = me && !restarted && ids.length > 0 && Math.min(...ids) > newest + 1;
  me = detail.me;
  mutes.replace(detail.mutes);
  people.replace(me, detail.peers, detail.members);
  const here = detail.members.filter(({ state }) => state === "here").map(({ id }) => id);
  arrivals.reset(detail.peers.map((peer) => peer.node_id), here);
  if (restarted) log.notice(["The node was restarted."]);
  if (missed) log.notice(["Some messages are missing here."]);
  for (const message of detail.messages.filter(({ id }) => id > newest)) showMessage(message);
  newest = Math.max(newest, ...ids);
  past.shown(detail.messages);
  for (const text of detail.notices) log.notice([sentence(text)]);
  lonelyText.textContent = `To bring somebody, start another node with --peer ${me.listen_addr}, or type /connect HOST:PORT.`;
  showConnected();
});

/** When each was last heard is told by no event. */
const MEMBERS = 60_000;
setInterval(updateMembers, MEMBERS);

function updateMembers() {
  // Without an answer, the list stays as it is.
  if (me) node.members().then((members) => people.setMembers(members), () => {});
}

/** Being alone is a state of its own: nobody sees what is said. */
function showConnected() {
  if (people.count > 0) show("connected", "Connected");
  else show("alone", "Connected to nobody");
}

node.addEventListener("disconnected", ({ detail: { wait, full, refused } }) => {
  const [title, short] = refused
    ? ["The node does not serve this page.", "No access"]
    : full
      ? ["The node has too many pages open.", "Too many pages"]
      : ["Disconnected from the node.", "Disconnected"];
  disconnectedTitle.textContent = title;
  const next = wait < 1_500 ? "Reconnecting…" : `Next attempt in ${Math.round(wait / 1_000)} s. Your text is kept.`;
  disconnectedText.textContent = refused ? `${sentence(refused)}.` : next;
  show("disconnected", short);
});

/** What is new about a member. */
const NEWS = { Joined: " joined", Back: " is back", Silent: " is not heard any more", Left: " left" };

/** One handler for each kind of event. Other kinds are ignored. */
const HANDLERS = {
  Message(said) {
    // A message sent before a restart may have another name.
    const now = said.own && (!said.entry || said.entry.at >= me.started);
    if (now && said.from !== me.uname) renamed(said.from);
    receive(said);
  },
  Notice({ notice, text, at }) {
    // There was nothing to catch up with.
    if (notice.CaughtUp?.entries !== 0) log.notice([sentence(text)], at);
  },
  PeerJoined({ peer, at }) {
    people.put(peer);
    if (arrivals.linked(peer.node_id)) log.notice([named(peer.node_id, peer.uname), " joined"], at);
    showConnected();
  },
  PeerUpdated({ peer, at }) {
    const known = people.put(peer);
    if (!known || known.uname === peer.uname) return;
    log.notice([named(peer.node_id, known.uname), " is now ", named(peer.node_id, peer.uname)], at);
  },
  PeerLeft({ peer, reason, at }) {
    people.remove(peer.node_id);
    if (arrivals.unlinked(peer.node_id, reason)) log.notice([named(peer.node_id, peer.uname), " left"], at);
    showConnected();
  },
  Member({ member, change, at }) {
    people.putMember(member);
    if (!arrivals.changed(member.node_id, change)) return;
    log.notice([named(member.node_id, member.uname), NEWS[change]], at);
  },
  Mute: ({ node_id: nodeId, uname, muted }) => mutes.put(nodeId, uname, muted),
};

node.addEventListener("event", ({ detail: event }) => {
  const kind = Object.keys(HANDLERS).find((kind) => kind in event);
  if (kind) HANDLERS[kind](event[kind]);
});

function renamed(uname) {
  me = { ...me, uname };
  people.rename(uname);
  showTitle();
}

function named(nodeId, name) {
  return who(name, people.distinction(nodeId, name));
}

function sentence(text) {
  return text[0].toUpperCase() + text.slice(1);
}

function receive(message) {
  // It is in the loaded list, too.
  if (message.id <= newest) return;
  newest = message.id;
  if (showMessage(message)) tellMention(message);
}

/** Tells the reader on the desktop that somebody named them, if they want that and do not look. */
function tellMention({ from, content }) {
  if (!document.hidden || !("Notification" in window) || Notification.permission !== "granted") return;
  new Notification(from, { body: content.slice(0, 200), tag: "mention" });
}

/** Shows a message. `before`: it was loaded because the reader looks for what was before. */
function showMessage({ from, content, at: came, id, node_id, own, entry }, before = false) {
  const nodeId = own ? me.node_id : node_id;
  // A message without an entry is ordered by the time of its arrival.
  const at = entry?.at ?? came;
  const place = entry ? [at, bytes(entry.key), entry.epoch, entry.seq, entry.part] : [at, "", id];
  const key = entry && `${entry.id} ${entry.part}`;
  const number = entry && `${entry.key} ${entry.epoch} ${entry.seq}`;
  const whole = entry?.id;
  const mentions = !own && names(content, me.uname);
  const found = own ? [] : marks(entry);
  const shown = log.message({ nodeId, from, content, at, own, place, key, number, marks: found, whole, mentions, before });
  if (!own && mutes.has(nodeId)) {
    log.setMuted((id) => mutes.has(id));
    return false;
  }
  // When the later version of a fork arrives, the earlier version has to be marked, too.
  if (shown && entry?.forked) log.mark(number, FORKED);
  if (shown && document.hidden && !own && !before) unseen += 1;
  showTitle();
  return shown && mentions && !entry?.history;
}

function show(state, text) {
  status.dataset.state = state;
  statusText.textContent = text;
  disconnected.hidden = state !== "disconnected";
  lonely.hidden = state !== "alone";
  document.body.classList.toggle("disconnected", state === "disconnected");
  composer.connected = state !== "disconnected";
  showTitle();
}

function showTitle() {
  const name = me ? `${me.uname} · Chat` : "Chat";
  const mark = unseen > 0 ? `(${unseen}) ` : disconnected.hidden ? "" : "⚠ ";
  document.title = mark + name;
}

toggle.addEventListener("click", () => {
  const open = document.body.classList.toggle("people-open");
  toggle.ariaExpanded = String(open);
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unseen = 0;
  showTitle();
  node.connect();
});

mutes.addEventListener("change", () => log.setMuted((id) => mutes.has(id)));

notify.hidden = !("Notification" in window) || Notification.permission !== "default";
notify.addEventListener("click", async () => {
  await Notification.requestPermission();
  notify.hidden = true;
});

document.getElementById("retry").addEventListener("click", () => node.connect());
addEventListener("online", () => node.connect());
addEventListener("hashchange", () => {
  if (takeToken()) node.connect();
});

takeToken();
node.connect();
