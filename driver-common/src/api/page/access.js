// The token, which the page needs where it is not opened by the user who runs the node.

/** The name of the token in this tab's storage, and in the URL's fragment. */
const NAME = "token";
const FRAGMENT = /^#token=([\w.~-]+)$/;
/** The subprotocols of the WebSocket. The node answers with the first; the second holds the token. */
const PROTOCOL = "p2p-chat";

/** Takes the token from the URL's fragment and removes it from the address bar. Returns whether there was one. */
export function takeToken() {
  const [, token] = FRAGMENT.exec(location.hash) ?? [];
  if (!token) return false;
  sessionStorage.setItem(NAME, token);
  history.replaceState(null, "", location.pathname + location.search);
  return true;
}

/** Forgets a token that is not right. */
export function dropToken() {
  sessionStorage.removeItem(NAME);
}

/** The headers of a request that may need the token. */
export function headers() {
  const token = sessionStorage.getItem(NAME);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** The subprotocols to offer: a page cannot set the headers of a WebSocket. */
export function protocols() {
  const token = sessionStorage.getItem(NAME);
  return token ? [PROTOCOL, `${PROTOCOL}.token.${token}`] : [PROTOCOL];
}
