import { html, useMemo } from "./preact.js";
import { get } from "./api.js";
import { Fact } from "./fact.js";
import { bytes, count, precise, seconds, shown } from "./format.js";
import { usePolled } from "./live.js";
import { Table } from "./table.js";

// hasCluster reports whether this conch is a node of a cluster. Without the right, there is nothing to show.
export const hasCluster = (may) => (may.info ? get("/cluster").then((c) => c.name !== "", () => false) : Promise.resolve(false));

const warn = (is, text) => html`<span class=${is ? "warn" : ""}>${text}</span>`;
const apart = (n) => (n === 0 ? "–" : Math.abs(n) < 1000 ? `${n} ms` : `${n < 0 ? "−" : "+"}${seconds(Math.round(Math.abs(n) / 1000))}`);

// Cluster is the table of nodes, as the one that serves this page sees them.
export function Cluster() {
  const { value, problem } = usePolled(() => get("/cluster"), 1000);
  const own = value ? value.name : "";
  const columns = useMemo(() => [
    { key: "name", title: "node", left: true, value: (m) => m.name, cell: (m) => html`${shown(m.name)}${m.name === own ? " (this one)" : ""}` },
    { key: "address", title: "address", left: true, value: (m) => shown(m.address) },
    { key: "vote", title: "vote", left: true, value: (m) => m.vote },
    { key: "role", title: "role", left: true, value: (m) => m.role || "–" },
    { key: "state", title: "state", left: true, value: (m) => m.state, cell: (m) => warn(m.state !== "ok", m.state) },
    { key: "lag", title: "lag, entries", value: (m) => m.lag_entries, cell: (m) => count(m.lag_entries) },
    { key: "bytes", title: "lag, bytes", value: (m) => m.lag_bytes, cell: (m) => bytes(m.lag_bytes) },
    { key: "link", title: "link", value: (m) => m.link_us, cell: (m) => (m.link_us === 0 ? "–" : `${precise(m.link_us / 1000)} ms`) },
    { key: "clock", title: "clock", value: (m) => m.clock_ahead_ms, cell: (m) => apart(m.clock_ahead_ms) },
    { key: "snapshot", title: "last snapshot", value: (m) => m.snapshot, cell: (m) => (m.snapshot_age < 0 ? "–" : `${m.snapshot}, ${seconds(m.snapshot_age)} ago`) },
    { key: "error", title: "error", left: true, value: (m) => m.error, cell: (m) => html`<span class="warn">${shown(m.error)}</span>` },
  ], [own]);
  return html`<div class="bar title"><h2>Cluster</h2> ${problem && html`<span class="problem" role="alert">${problem.message}</span>`}</div>
    ${value && html`<dl class="facts">
      <${Fact} name="this node" value=${value.role} warn=${value.role === "removed"} />
      <${Fact} name="leader" value=${value.leader ? shown(value.leader) : "none"} warn=${!value.leader} />
      <${Fact} name="majority" value=${value.majority ? "yes" : "no"} warn=${!value.majority} />
      <${Fact} name="term" value=${value.term} />
      <${Fact} name="committed" value=${value.committed} />
      <${Fact} name="applied here" value=${value.applied} />
      <${Fact} name="proposals waiting" value=${count(value.waiting)} />
      <${Fact} name="their bytes" value=${bytes(value.waiting_bytes)} />
    </dl>`}
    <${Table} label="nodes" columns=${columns} rows=${value ? value.members : []} idOf=${(m) => m.name} empty=${value ? "this conch runs alone" : ""} />`;
}
