import { html, useMemo, useState } from "./preact.js";
import { get, nameOf, postJSON, remove } from "./api.js";
import { usePolled } from "./live.js";
import { shown } from "./format.js";
import { Table } from "./table.js";

// Users shows users with their rules, and tokens, which it makes and revokes.
export function Users({ may }) {
  const [round, setRound] = useState(0);
  const users = usePolled(() => get("/users"), 10000, [round]);
  const columns = useMemo(() => [
    { key: "user", title: "user", left: true, value: (u) => nameOf(u, "user"), cell: (u) => shown(nameOf(u, "user")) },
    { key: "rules", title: "rules", left: true, value: (u) => rulesOf(u), cell: (u) => html`<code class="wrap">${shown(rulesOf(u))}</code>` },
  ], []);
  return html`<h2>Users</h2>
    ${users.problem && html`<p class="problem" role="alert">${users.problem.message}</p>`}
    <${Table} label="users" short columns=${columns} rows=${users.value ? users.value.users : []} idOf=${(u) => nameOf(u, "user")} />
    ${may["acl|token"] && html`<${Tokens} round=${round} changed=${() => setRound(round + 1)} />`}`;
}

const rulesOf = (u) => (Array.isArray(u.rules) ? u.rules.join(" ") : String(u.rules ?? ""));

function Tokens({ round, changed }) {
  const [secret, setSecret] = useState("");
  const [problem, setProblem] = useState("");
  const { value } = usePolled(() => get("/tokens"), 10000, [round]);
  const attempt = async (f) => {
    try {
      setProblem("");
      await f();
      changed();
    } catch (p) {
      setProblem(p.message);
    }
  };
  const make = (e) => {
    e.preventDefault();
    const form = new FormData(e.target);
    const body = { user: form.get("user"), token: form.get("token") };
    if (form.get("hours")) body.seconds = Math.round(form.get("hours") * 3600);
    return attempt(async () => setSecret((await (await postJSON("/tokens", body)).json()).secret));
  };
  const columns = useMemo(() => [
    { key: "user", title: "user", left: true, value: (t) => nameOf(t, "user"), cell: (t) => shown(nameOf(t, "user")) },
    { key: "token", title: "token", left: true, value: (t) => nameOf(t, "token"), cell: (t) => shown(nameOf(t, "token")) },
    { key: "expires", title: "expires", left: true, value: (t) => String(t.expires ?? ""), cell: (t) => shown(String(t.expires || "never")) },
    { key: "revoke", label: "revoke", cell: (t) => html`<button aria-label=${`revoke ${shown(nameOf(t, "token"))}`}
      onClick=${() => attempt(() => remove(`/tokens/${encodeURIComponent(t.user)}/${encodeURIComponent(t.token)}`))}>revoke</button>` },
  ], []);
  return html`<h3>Tokens</h3>
    <form class="bar" onSubmit=${make}>
      <label>User <input name="user" required /></label>
      <label>Token <input name="token" placeholder="laptop" required /></label>
      <label>Hours <input name="hours" type="number" min="0.01" step="any" placeholder="for ever" /></label>
      <button>Make a token</button>
    </form>
    ${secret && html`<p role="status">The secret, shown this once: <code>${secret}</code> <button onClick=${() => setSecret("")}>hide</button></p>`}
    <p class="problem" role="alert">${problem}</p>
    <${Table} label="tokens" short columns=${columns} rows=${value ? value.tokens : []} idOf=${(t) => `${nameOf(t, "user")} ${nameOf(t, "token")}`} empty=${value ? "no token" : ""} />`;
}
