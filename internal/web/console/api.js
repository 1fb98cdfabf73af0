// Requests to the public HTTP API of this origin. The session is a cookie, which scripts cannot read.

// Problem is an answer from 400 on (RFC 9457), or a server that does not answer: then its status is 0.
export class Problem extends Error {
  constructor(status, detail, code) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

const signedOut = new EventTarget();

// onSignedOut calls f when an answer shows that the session has ended.
export function onSignedOut(f) {
  signedOut.addEventListener("out", f);
  return () => signedOut.removeEventListener("out", f);
}

// request sends one request and returns the response. Conch-Console keeps the browser from opening its own window for a password.
export async function request(method, path, { body, headers = {} } = {}) {
  let response;
  try {
    response = await fetch(path, { method, body, headers: { "Conch-Console": "1", ...headers }, credentials: "same-origin", cache: "no-store" });
  } catch {
    throw new Problem(0, "conch does not answer");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401 && !path.startsWith("/session")) signedOut.dispatchEvent(new Event("out"));
  throw new Problem(response.status, problem.detail || response.statusText, problem.code);
}

// checkSession finds out whether the session has ended: an event stream does not show why it was refused.
export async function checkSession() {
  await request("GET", "/session").catch((p) => p.status === 401 && signedOut.dispatchEvent(new Event("out")));
}

export const get = async (path) => (await request("GET", path)).json();
export const text = async (path) => (await request("GET", path)).text();
export const remove = (path) => request("DELETE", path);

export function postJSON(path, value, method = "POST") {
  return request(method, path, { body: JSON.stringify(value), headers: { "Content-Type": "application/json" } });
}

// signIn makes a session. A token alone signs in, too.
export async function signIn(user, password) {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  const basic = btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
  return (await request("POST", "/session", { headers: { Authorization: user ? `Basic ${basic}` : `Bearer ${password}` } })).json();
}

export const signOut = () => remove("/session");

// nameOf is the text of a name that may be no UTF-8; keyOf is what stands for it in a path, null for bytes that no path can hold as text.
export function nameOf(row, field = "name") {
  const encoded = row[`${field}_base64`];
  return encoded === undefined ? row[field] : `base64 ${encoded}`;
}

export const keyOf = (row, field = "name") => (row[`${field}_base64`] === undefined ? row[field] : null);
