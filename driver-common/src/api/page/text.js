// Content from peers is always inserted as text, never as markup.

// Characters that reorder the text or are invisible. Joiners and variation selectors are allowed: emoji and several
// scripts need them.
const UNSEEN =
  /[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e00ff}]/gu;

/** Sets the text of an element. Invisible characters are shown as pictures or numbers. */
export function setText(element, text) {
  const parts = [];
  let plain = 0;
  for (const match of text.matchAll(UNSEEN)) {
    parts.push(text.slice(plain, match.index), mark(match[0]));
    plain = match.index + match[0].length;
  }
  element.replaceChildren(...parts, text.slice(plain));
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

function hue(nodeId) {
  return Number.parseInt(nodeId.slice(0, 6), 16) % 360;
}
