// What comes from peers is text: nothing in here, or anywhere else, makes markup of it.

// What would turn the text around, or not be seen at all. Joiners and variation selectors stay: emoji and several
// scripts are spelled with them.
const UNSEEN =
  /[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e00ff}]/gu;

/** Fills an element with a text, in which what cannot be seen is shown by its picture or its number. */
export function setText(element, text) {
  const parts = [];
  let plain = 0;
  for (const match of text.matchAll(UNSEEN)) {
    parts.push(text.slice(plain, match.index), mark(match[0]));
    plain = match.index + match[0].length;
  }
  element.replaceChildren(...parts, text.slice(plain));
}

/** An element with a class and a text. */
export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  setText(made, text);
  return made;
}

/** A name that cannot reach out into the text around it. */
export function nameElement(name) {
  return element("bdi", "name", name);
}

/** Who it was, with what tells them apart from others of that name. */
export function who(name, distinction) {
  const made = element("span", "who");
  made.append(nameElement(name));
  if (distinction) made.append(" ", element("code", "short-id", distinction));
  return made;
}

/** The start of a node's id, which tells two peers of one name apart. */
export function shortId(nodeId) {
  return nodeId.slice(0, 8);
}

/** What a text in base64url stands for, each byte a character. */
export function bytes(text) {
  return atob(text.replaceAll("-", "+").replaceAll("_", "/"));
}

/** A round mark in a colour of the node's own. */
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

function hue(nodeId) {
  return Number.parseInt(nodeId.slice(0, 6), 16) % 360;
}
