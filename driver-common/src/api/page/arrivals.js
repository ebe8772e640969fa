// Who the page said is here: arrivals and departures are those of members, however links come and go.

/** The most news of members far away that is told at once. Keys are free, so anybody can bring about any number. */
const AT_ONCE = 20;
/** After this time, in milliseconds, one more is told. */
const EVERY = 3_000;

export class Arrivals {
  /** Those who have come, and have not gone, as the reader knows. */
  #told = new Set();
  /** Those who say themselves that they are here. */
  #here = new Set();
  /** When the last news that was told counts no more. */
  #paidUntil = 0;

  /** These are linked, and these say that they are here. The reader sees them in the list. */
  reset(linked, here) {
    this.#here = new Set(here);
    this.#told = new Set([...linked, ...here]);
  }

  /** A peer was linked. Whether that is news. */
  linked(nodeId) {
    const known = this.#told.has(nodeId);
    this.#told.add(nodeId);
    return !known;
  }

  /** A link ended. Whether its peer is gone, as far as that tells: whoever had to make room, here or there, may still be here. */
  unlinked(nodeId, reason) {
    if (["NoRoom", "Bye"].includes(reason) && this.#here.has(nodeId)) return false;
    return this.#told.delete(nodeId);
  }

  /** There is news of a member. Whether the reader is to be told, at this time. */
  changed(nodeId, change, now = Date.now()) {
    if (["Silent", "Left"].includes(change)) {
      this.#here.delete(nodeId);
      return this.#told.delete(nodeId) && this.#mayTell(now);
    }
    this.#here.add(nodeId);
    const fresh = this.linked(nodeId);
    return fresh && ["Joined", "Back"].includes(change) && this.#mayTell(now);
  }

  #mayTell(now) {
    const most = now + AT_ONCE * EVERY;
    const paid = Math.min(Math.max(this.#paidUntil, now), most);
    const tells = paid + EVERY <= most;
    this.#paidUntil = tells ? paid + EVERY : paid;
    return tells;
  }
}
