import { html, useMemo, useRef, useState } from "./preact.js";
import { get, keyOf, nameOf } from "./api.js";
import { usePolled } from "./live.js";
import { count, seconds, shown } from "./format.js";
import { disconnectColumn } from "./disconnect.js";
import { Table, numbers } from "./table.js";

// Topics is the table of names with subscribers, or the subscribers of one topic.
export function Topics({ may, rest }) {
  return rest.length > 0 ? html`<${Subscribers} key=${rest[0]} topic=${rest[0]} may=${may} />` : html`<${Names} may=${may} />`;
}

function Names({ may }) {
  const [filter, setFilter] = useState("");
  const before = useRef(new Map());
  const { value, problem } = usePolled(async () => {
    const glob = filter.trim() && (/[*?[]/.test(filter) ? filter : `*${filter}*`);
    const stats = await get(`/stats${glob ? `?match=${encodeURIComponent(glob)}` : ""}`);
    const at = performance.now();
    const now = new Map();
    for (const row of stats.busiest) {
      row.id = `${row.kind} ${nameOf(row)}`;
      const b = before.current.get(row.id);
      row.rate = b ? Math.max(0, ((row.published - b.published) * 1000) / (at - b.at)) : 0;
      now.set(row.id, { published: row.published, at });
    }
    before.current = now;
    return stats;
  }, 1000, [filter]);
  const columns = useMemo(() => [
    { key: "name", title: "topic", left: true, value: nameOf, cell: (row) => (row.kind === "topic" && keyOf(row) !== null && may["pubsub|who"]
      ? html`<a href=${`#/topics/${encodeURIComponent(keyOf(row))}`}>${shown(row.name)}</a>` : shown(nameOf(row))) },
    { key: "kind", title: "kind", left: true, value: (row) => row.kind },
    { key: "subscribers", title: "subscribers", value: (row) => row.subscribers, cell: (row) => count(row.subscribers) },
    { key: "rate", title: "a second", value: (row) => row.rate, cell: (row) => count(row.rate) },
    ...numbers("published", "delivered", "filtered", "dropped", "queued"),
  ], [may]);
  const rows = value ? value.busiest : [];
  return html`<h2>Topics</h2>
    <div class="bar">
      <label>Filter <input type="search" value=${filter} onInput=${(e) => setFilter(e.target.value)} placeholder="part of a name, or a glob" /></label>
      <span class="faint" role="status">${value ? `${rows.length} of ${value.names}` : ""}</span>
      ${problem && html`<span class="problem" role="alert">${problem.message}</span>`}
    </div>
    <${Table} label="topics" columns=${columns} rows=${rows} idOf=${(row) => row.id} sort=${{ key: "rate", down: true }} empty=${value ? "no name has a subscriber" : ""} />`;
}

function Subscribers({ topic, may }) {
  const { value, problem } = usePolled(() => get(`/topics/${encodeURIComponent(topic)}/subscribers`), 1000);
  const [note, setNote] = useState("");
  const columns = useMemo(() => [
    { key: "id", title: "connection", left: true, value: (row) => row.id },
    ...disconnectColumn(may, setNote),
    { key: "addr", title: "address", left: true, value: (row) => row.addr },
    { key: "user", title: "user", left: true, value: (row) => shown(nameOf(row, "user")) },
    { key: "name", title: "name", left: true, value: (row) => shown(nameOf(row)) },
    { key: "subscription", title: "subscription", left: true, value: (row) => shown(nameOf(row, "subscription")) },
    { key: "age", title: "age", value: (row) => row.age, cell: (row) => seconds(row.age) },
    ...numbers("published", "delivered", "filtered", "dropped", "queued", "backlog"),
  ], [may]);
  return html`<h2>Topic ${shown(topic)}</h2>
    <div class="bar"><a href="#/topics">all topics</a>
      ${may.subscribe && html`<a href=${`#/tail/${encodeURIComponent(topic)}`}>tail</a>`}
      <span class="faint" role="status">${note}</span>
      ${problem && html`<span class="problem" role="alert">${problem.message}</span>`}
    </div>
    <${Table} label="subscribers" columns=${columns} rows=${value ? value.subscribers : []} idOf=${(row) => `${row.id} ${nameOf(row, "subscription")}`}
      empty=${value ? "no connection is subscribed" : ""} />`;
}
