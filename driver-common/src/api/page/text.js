// Content from peers is always inserted as text, never as markup.

// Characters that reorder the text or are invisible. Joiners and variation selectors are allowed: emoji and several
// scripts need them.
// The flags of England, Scotland and Wales are made of tags, which could hide a text elsewhere.
const UNSEEN =
  /(\u{1f3f4}\u{e0067}\u{e0062}(?:\u{e0065}\u{e006e}\u{e0067}|\u{e0073}\u{e0063}\u{e0074}|\u{e0077}\u{e006c}\u{e0073})\u{e007f})|[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e00ff}\u{e01f0}-\u{e0fff}]/gu;

// What a text may have in it: code, or a link.
const RICH = /`([^`\n]+)`|\bhttps?:\/\/[^\s<>"'`]+/gu;

/** Sets the text of an element. Invisible characters are shown as pictures or numbers. */
export function setText(element, text) {
  element.replaceChildren(...seen(text));
}

/** Sets the text of a message: its links can be followed, and what stands in backticks is code. */
export function setRichText(target, text) {
  const parts = [];
  let plain = 0;
  for (const match of text.matchAll(RICH)) {
    const made = match[1] ? element("code", "code", match[1]) : link(match[0]);
    if (!made) continue;
    parts.push(...seen(text.slice(plain, match.index)), made);
    plain = match.index + (match[1] ? match[0].length : made.textContent.length);
  }
  target.replaceChildren(...parts, ...seen(text.slice(plain)));
}

/** The parts of a text that shows all that is in it. */
function seen(text) {
  const parts = [];
  let plain = 0;
  for (const match of text.matchAll(UNSEEN)) {
    if (match[1]) continue;
    parts.push(text.slice(plain, match.index), mark(match[0]));
    plain = match.index + match[0].length;
  }
  return [...parts, text.slice(plain)];
}

/** A link that shows where it leads. The sentence around it may end behind it. */
function link(found) {
  const address = found.replace(/[.,;:!?)\]}]+$/u, "");
  if (!URL.canParse(address) || address.search(UNSEEN) >= 0) return null;
  const made = element("a", "", address);
  made.href = address;
  made.target = "_blank";
  made.rel = "noopener noreferrer nofollow ugc";
  return made;
}

/** Whether a text names somebody, as a word of its own. */
export function names(text, name) {
  const literal = name.trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return literal !== "" && new RegExp(`(?<![\\p{L}\\p{N}])${literal}(?![\\p{L}\\p{N}])`, "iu").test(text);
}

/** Creates an element with a class and a text. */
export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  setText(made, text);
  return made;
}

/** Creates a name that cannot affect the text around it. */
export function nameElement(name) {
  return element("bdi", "name", name);
}

/** Creates a name, followed by a short id if there is one. */
export function who(name, distinction) {
  const made = element("span", "who");
  made.append(nameElement(name));
  if (distinction) made.append(" ", element("code", "short-id", distinction));
  return made;
}

/** The start of a node's id, 16 digits, which distinguishes peers of the same name. */
export function shortId(nodeId) {
  return nodeId.replaceAll("-", "").slice(0, 16);
}

/** Decodes base64url. Each byte becomes a character. */
export function bytes(text) {
  return atob(text.replaceAll("-", "+").replaceAll("_", "/"));
}

/** Creates a round avatar in a colour that depends on the node. */
export function avatar(nodeId, name) {
  const first = [...new Intl.Segmenter().segment(name)].find(({ segment }) => /[\p{L}\p{N}\p{Extended_Pictographic}]/u.test(segment));
  const made = element("span", "avatar", (first?.segment ?? "?").toLocaleUpperCase());
  made.ariaHidden = "true";
  made.style.setProperty("--hue", hue(nodeId));
  return made;
}

function mark(char) {
  const code = char.codePointAt(0);
  const made = document.createElement("span");
  made.className = "unseen";
  made.textContent =
    code < 0x20 ? String.fromCodePoint(0x2400 + code) : code === 0x7f ? "␡" : `\\u{${code.toString(16)}}`;
  made.title = `Invisible character U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  return made;
}

/** The hues given so far, the latest last. */
const hues = new Map();
const HUES = 1_000;
/** Of this many people who were seen last, no two hues are closer than this. */
const TOGETHER = 6;
const APART = 35;
const GOLDEN_ANGLE = 137.508;

/** The hue of a node. It follows from its id, unless somebody who stands near has nearly the same. */
function hue(nodeId) {
  const known = hues.get(nodeId);
  if (known !== undefined) return known;
  let hue = Number.parseInt(nodeId.slice(0, 6), 16) % 360;
  const near = [...hues.values()].slice(-TOGETHER);
  const distance = (other) => Math.min(Math.abs(hue - other), 360 - Math.abs(hue - other));
  for (let tries = 0; tries < 12 && near.some((other) => distance(other) < APART); tries += 1) {
    hue = (hue + GOLDEN_ANGLE) % 360;
  }
  hues.set(nodeId, hue);
  if (hues.size > HUES) hues.delete(hues.keys().next().value);
  return hue;
}
