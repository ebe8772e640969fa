// What is to be known of a message before it is believed.

import { shortId } from "./text.js";

/** What its author signed under the number of another message. */
export const FORKED = { word: "forked", title: "Its author signed two messages with the same number." };

/** The marks of a message in this entry, or in none: each a word, and a title that tells what it means. */
export function marks(entry) {
  const found = [];
  if (!entry) {
    found.push({ word: "unsigned", title: "Sent by a peer that does not sign its messages: anybody could use its name." });
  } else if (!entry.signed) {
    const bearer = shortId(entry.author);
    const title = `Sent by a peer that does not sign its messages, and passed on by ${bearer}, which alone vouches for it.`;
    found.push({ word: `unsigned, via ${entry.uname}`, title });
  }
  if (entry?.late) found.push({ word: "late", title: "It arrived after later messages from the same author." });
  if (entry?.forked) found.push(FORKED);
  if (entry?.backdated) found.push({ word: "backdated", title: "Its time is earlier than that of its author's previous message." });
  return found;
}
