import { html, useMemo, useState } from "./preact.js";
import { get } from "./api.js";
import { usePolled } from "./live.js";
import { disconnectColumn } from "./disconnect.js";
import { bytes, seconds, shown } from "./format.js";
import { Table, numbers } from "./table.js";

// Connections is the table of all connections, with their backlogs, and a button that ends one.
export function Connections({ may }) {
  const [filter, setFilter] = useState("");
  const [note, setNote] = useState("");
  const { value, problem } = usePolled(() => get("/connections"), 1000);
  const rows = useMemo(() => {
    const wanted = filter.trim().toLowerCase();
    const all = value ? value.connections : [];
    return wanted ? all.filter((c) => [c.id, c.addr, c.user, c.name, c.cmd, c["lib-name"]].join(" ").toLowerCase().includes(wanted)) : all;
  }, [value, filter]);
  const columns = useMemo(() => [
    { key: "id", title: "id", left: true, value: (c) => c.id },
    ...disconnectColumn(may, setNote),
    { key: "addr", title: "address", left: true, value: (c) => c.addr },
    { key: "user", title: "user", left: true, value: (c) => shown(c.user) },
    { key: "name", title: "name", left: true, value: (c) => shown(c.name || c["lib-name"] || "") },
    { key: "sub", title: "subscriptions", value: (c) => c.sub + c.psub + c.ssub + c["line-subs"] },
    { key: "omem", title: "backlog", value: (c) => c.omem, cell: (c) => html`<span class=${c.omem > 1 << 20 ? "warn" : ""}>${bytes(c.omem)}</span>` },
    ...numbers("delivered", "dropped", "undelivered"),
    { key: "age", title: "age", value: (c) => c.age, cell: (c) => seconds(c.age) },
    { key: "idle", title: "idle", value: (c) => c.idle, cell: (c) => seconds(c.idle) },
    { key: "cmd", title: "last command", left: true, value: (c) => shown(c.cmd) },
  ], [may]);
  return html`<h2>Connections</h2>
    <div class="bar">
      <label>Filter <input type="search" value=${filter} onInput=${(e) => setFilter(e.target.value)} placeholder="address, user, name, command" /></label>
      <span class="faint" role="status">${note || (value ? `${rows.length} of ${value.connections.length}` : "")}</span>
      ${problem && html`<span class="problem" role="alert">${problem.message}</span>`}
    </div>
    <${Table} label="connections" columns=${columns} rows=${rows} idOf=${(c) => c.id} sort=${{ key: "omem", down: true }} empty=${value ? "no connection" : ""} />`;
}
