// Marks that the user should see before believing a message.

import { shortId } from "./text.js";

/** The mark of messages of one author with the same number. */
export const FORKED = { word: "forked", title: "Its author signed two messages with the same number." };

/** The marks of a message with this entry, or without one. Each has a word and a title that explains it. */
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
  if (entry?.name_taken) found.push({ word: "name taken", title: "Another key used this name before: its author may be somebody else." });
  if (entry?.behind) {
    const date = new Date(entry.at).toLocaleString();
    found.push({ word: `dated ${date}`, title: "Its time is earlier than that of messages that were shown before it." });
  }
  return found;
}
