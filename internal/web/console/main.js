import { html, render, useEffect, useState } from "./preact.js";
import { get, onSignedOut, signOut } from "./api.js";
import { SignIn } from "./signin.js";
import { Overview } from "./overview.js";
import { Topics } from "./topics.js";
import { Tail } from "./tail.js";
import { Connections } from "./connections.js";
import { Cluster, hasCluster } from "./cluster.js";
import { Connectors, hasConnectors } from "./connectors.js";
import { usePolled } from "./live.js";
import { Why } from "./why.js";
import { Trace } from "./trace.js";
import { Streams } from "./streams.js";
import { Users } from "./users.js";

// views are the pages by the first word behind #. right is the command that the user must be allowed to run, or several, of which
// one is enough; without it the page is absent.
const views = [
  { path: "", title: "Overview", right: "pubsub|stats", view: Overview },
  { path: "topics", title: "Topics", right: "pubsub|stats", view: Topics },
  { path: "tail", title: "Tail", right: "subscribe", view: Tail },
  { path: "connections", title: "Connections", right: "client|list", view: Connections },
  { path: "why", title: "Why", right: "pubsub|why", view: Why },
  { path: "trace", title: "Trace", right: "monitor", view: Trace },
  { path: "streams", title: "Streams", right: ["xrange", "scan", "xinfo|groups"], view: Streams },
  { path: "connectors", title: "Connectors", right: "info", view: Connectors }, // absent while there is none
  { path: "cluster", title: "Cluster", right: "info", view: Cluster }, // absent where conch runs alone
  { path: "users", title: "Users", right: "acl|list", view: Users },
];

// whereNow is the place in the address: a view, and names. An address that is no place is the overview.
function whereNow() {
  try {
    return location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  } catch {
    return [""];
  }
}

// App is the whole page: signing in, or the menu and one view.
function App() {
  const [session, setSession] = useState(null); // null: not known yet; {user: null}: signed out
  const [note, setNote] = useState("");
  const [where, setWhere] = useState(whereNow());
  useEffect(() => {
    get("/session").then(setSession, (p) => setSession({ user: null, problem: p.status === 401 ? "" : p.message }));
    const moved = () => setWhere(whereNow());
    addEventListener("hashchange", moved);
    const stop = onSignedOut(() => {
      setNote("the session has ended: sign in again");
      setSession({ user: null });
    });
    return () => {
      removeEventListener("hashchange", moved);
      stop();
    };
  }, []);
  const cluster = usePolled(async () => session && session.user && hasCluster(session.may), 30000, [session]).value;
  const connectors = usePolled(async () => session && session.user && hasConnectors(session.may), 30000, [session]).value;
  if (!session) return html`<p class="empty" role="status">connecting …</p>`;
  if (!session.user) return html`<${SignIn} note=${note || session.problem} done=${(s) => (setNote(""), setSession(s))} />`;
  const allowed = views.filter((v) => [v.right].flat().some((right) => session.may[right]) && (v.view !== Connectors || connectors) && (v.view !== Cluster || cluster));
  const current = allowed.find((v) => v.path === where[0]) || allowed[0];
  const leave = async () => {
    await signOut().catch(() => null);
    setSession({ user: null });
  };
  return html`
    <a class="skip" href="#main" onClick=${(e) => (e.preventDefault(), document.getElementById("main").focus())}>skip the menu</a>
    <header>
      <h1><img src="/console/icon.svg" alt="" width="22" height="22" /> conch</h1>
      <nav aria-label="views">${allowed.map((v) => html`<a key=${v.path} href=${`#/${v.path}`} aria-current=${v === current ? "page" : null}>${v.title}</a>`)}</nav>
      <p class="user">${session.user}${session.signed_in && html` <button onClick=${leave}>sign out</button>`}</p>
    </header>
    <main id="main" tabindex="-1">
      ${current ? html`<${current.view} key=${current.path} may=${session.may} rest=${where.slice(1)} />` : html`<p class="empty">this user may see nothing here</p>`}
    </main>`;
}

render(html`<${App} />`, document.body);
