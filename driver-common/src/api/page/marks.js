// What is to be known of a message before it is believed.

import { shortId } from "./text.js";

/** What its author signed under the number of another message. */
export const FORKED = { word: "forked", title: "Its author signed another message under the same number." };

/** The marks of a message in this entry, or in none: each a word, and a title that tells what it means. */
export function marks(entry) {
  const found = [];
  if (!entry) {
    found.push({ word: "unsigned", title: "Said by a peer that signs nothing: anybody may use its name." });
  } else if (!entry.signed) {
    const bearer = shortId(entry.author);
    const title = `Said by a peer that signs nothing, and brought here by ${bearer}: only its word stands for it.`;
    found.push({ word: `unsigned, by way of ${entry.uname}`, title });
  }
  if (entry?.late) found.push({ word: "late", title: "It came after later ones of its author." });
  if (entry?.forked) found.push(FORKED);
  if (entry?.backdated) found.push({ word: "backdated", title: "It says that it was said before the one before it." });
  return found;
}
