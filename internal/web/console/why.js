import { html, useEffect, useMemo, useState } from "./preact.js";
import { get, nameOf } from "./api.js";
import { bytes, count, seconds, shown } from "./format.js";
import { Table } from "./table.js";

const waits = {
  end: "nothing: it is closing", replay: "messages of the past", log: "the log", reply: "a reply before them", client: "the client, to read",
};

// last is a count with the number and the age of the last of these messages.
function last(row, name, number = `last-${name}`) {
  const parts = [count(row[name])];
  if (row[name] > 0 && row[number]) parts.push(`#${row[number]}`);
  if (row[name] > 0 && row[`since-${name}`] !== null && row[`since-${name}`] !== undefined) parts.push(seconds(row[`since-${name}`]));
  return parts.join(" · ");
}

function waiting(row) {
  const w = row["waits-for"];
  if (!w) return "";
  if (row.waits === "replay" && w.position) return `${waits.replay}, #${w.position} of #${w.target}`;
  return row.waits === "client" ? `${waits.client}: ${bytes(w.backlog)}, none taken for ${seconds(w.since || 0)}` : waits[row.waits] || row.waits;
}

// Why shows why nothing arrives at the subscribers of a topic, or at one client.
export function Why({ rest }) {
  const [topic, setTopic] = useState(rest[0] || "");
  const [client, setClient] = useState(rest[1] || "");
  const [asked, setAsked] = useState(rest[0] ? { topic: rest[0], client: rest[1] || "" } : null);
  const [state, setState] = useState({ why: null, problem: null });
  useEffect(() => {
    if (!asked) return undefined;
    let ended = false;
    const query = asked.client ? `?client=${encodeURIComponent(asked.client)}` : "";
    get(`/topics/${encodeURIComponent(asked.topic)}/why${query}`).then(
      (why) => ended || setState({ why, problem: null }),
      (problem) => ended || setState({ why: null, problem }),
    );
    return () => { ended = true; };
  }, [asked]);
  const explain = (e) => {
    e.preventDefault();
    if (topic) setAsked({ topic, client: client.trim() });
  };
  const columns = useMemo(() => [
    { key: "id", title: "client", left: true, value: (r) => r.id },
    { key: "name", title: "name", left: true, value: (r) => shown(r.name) },
    { key: "user", title: "user", left: true, value: (r) => shown(r.user) },
    { key: "subscription", title: "subscription", left: true, value: (r) => shown(nameOf(r, "subscription")) },
    { key: "kind", title: "kind", left: true, value: (r) => r.kind },
    { key: "published", title: "published", value: (r) => r.published, cell: (r) => last(r, "published") },
    { key: "filtered", title: "held back", value: (r) => r.filtered, cell: (r) => last(r, "filtered") },
    { key: "dropped", title: "dropped", value: (r) => r.dropped, cell: (r) => html`<span class=${r.dropped > 0 ? "warn" : ""}>${last(r, "dropped")}</span>` },
    { key: "delivered", title: "delivered", value: (r) => r.delivered, cell: (r) => last(r, "delivered") },
    { key: "queued", title: "queued", value: (r) => r.queued, cell: (r) => count(r.queued) },
    { key: "waits", title: "waits for", left: true, value: waiting },
  ], []);
  const { why, problem } = state;
  return html`<h2>Why is nothing arriving?</h2>
    <form class="bar" onSubmit=${explain}>
      <label>Topic <input value=${topic} onInput=${(e) => setTopic(e.target.value)} placeholder="news" required /></label>
      <label>Client <input value=${client} onInput=${(e) => setClient(e.target.value)} placeholder="all, or an id" inputmode="numeric" /></label>
      <button>${asked && asked.topic === topic && asked.client === client.trim() ? "Look again" : "Explain"}</button>
    </form>
    <div role="status">
      ${problem && html`<p class="problem">${problem.message}</p>`}
      ${why && html`<ul class="why">${why.why.map((text, i) => html`<li key=${i}>${shown(text)}</li>`)}</ul>`}
    </div>
    ${why && why.first.length > 0 && html`<${Table} label="subscriptions" columns=${columns} rows=${why.first} idOf=${(r) => `${r.id} ${r.kind} ${nameOf(r, "subscription")}`} sort=${{ key: "id", down: false }} />`}`;
}
