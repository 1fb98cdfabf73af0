import { html, useEffect, useMemo, useState } from "./preact.js";
import { get, keyOf, nameOf } from "./api.js";
import { usePolled } from "./live.js";
import { count, shown } from "./format.js";
import { Table } from "./table.js";

// Streams is the table of streams, or the entries of one.
export function Streams({ may, rest }) {
  return rest.length > 0 ? html`<${Entries} key=${rest[0]} stream=${rest[0]} />` : html`<${Names} may=${may} />`;
}

function Names({ may }) {
  const [filter, setFilter] = useState("");
  const { value, problem } = usePolled(async () => {
    if (!may.scan) return null;
    const glob = filter.trim() && (/[*?[]/.test(filter) ? filter : `*${filter}*`);
    return get(`/streams${glob ? `?match=${encodeURIComponent(glob)}` : ""}`);
  }, 2000, [filter]);
  const columns = useMemo(() => [
    { key: "stream", title: "stream", left: true, value: (row) => nameOf(row, "stream"),
      cell: (row) => (keyOf(row, "stream") === null ? shown(nameOf(row, "stream")) : html`<a href=${`#/streams/${encodeURIComponent(row.stream)}`}>${shown(row.stream)}</a>`) },
    { key: "length", title: "entries", value: (row) => row.length ?? -1, cell: (row) => count(row.length) },
    { key: "added", title: "added in all", value: (row) => row.added ?? -1, cell: (row) => count(row.added) },
    { key: "groups", title: "groups", value: (row) => row.groups ?? -1, cell: (row) => count(row.groups) },
    { key: "last", title: "last id", left: true, value: (row) => row.last_id ?? "" },
  ], []);
  const open = (e) => {
    e.preventDefault();
    location.hash = `#/streams/${encodeURIComponent(new FormData(e.target).get("stream"))}`;
  };
  return html`<h2>Streams</h2>
    <form class="bar" onSubmit=${open}>
      <label>Filter or name <input name="stream" type="search" value=${filter} onInput=${(e) => setFilter(e.target.value)} placeholder="part of a name, or a glob" required /></label>
      <button>Open this name</button>
      <span class="faint" role="status">${value ? `${value.streams.length}${value.more ? " of more" : ""}` : ""}</span>
      ${problem && html`<span class="problem" role="alert">${problem.message}</span>`}
    </form>
    ${may.scan && html`<${Table} label="streams" columns=${columns} rows=${value ? value.streams : []} idOf=${(row) => nameOf(row, "stream")} empty="no stream" />`}`;
}

const pageSize = 50;

// Entries shows a range of a stream, page by page.
function Entries({ stream }) {
  const [reverse, setReverse] = useState(true);
  const [starts, setStarts] = useState([""]); // where each page so far begins
  const [page, setPage] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const query = new URLSearchParams({ count: pageSize, format: "json" });
    if (reverse) query.set("reverse", "1");
    if (starts.at(-1)) query.set("from", `(${starts.at(-1)}`);
    let ended = false;
    get(`/streams/${encodeURIComponent(stream)}?${query}`).then((p) => !ended && (setPage(p), setProblem("")), (p) => !ended && setProblem(p.message));
    return () => (ended = true);
  }, [stream, reverse, starts]);
  const entries = page ? page.entries : [];
  return html`<h2>Stream ${shown(stream)}</h2>
    <div class="bar">
      <a href="#/streams">all streams</a>
      <label><input type="checkbox" checked=${reverse} onChange=${() => (setStarts([""]), setReverse(!reverse))} /> the newest first</label>
      <button onClick=${() => setStarts([""])}>From the beginning</button>
      <button disabled=${starts.length < 2} onClick=${() => setStarts(starts.slice(0, -1))}>Back</button>
      <button disabled=${entries.length < pageSize} onClick=${() => setStarts([...starts, entries.at(-1).id])}>Next</button>
      <span class="problem" role="alert">${problem}</span>
    </div>
    <ol class="tail" aria-label="entries">
      ${entries.map((e) => html`<li key=${e.id}><span class="faint">${e.id}</span> <code>${shown(textOf(e))}</code>${e.headers && html` <span class="faint">${shown(JSON.stringify(e.headers))}</span>`}</li>`)}
    </ol>
    ${page && entries.length === 0 && html`<p class="empty">no entries here</p>`}`;
}

function textOf(entry) {
  if (entry.fields) return JSON.stringify(entry.fields);
  return entry.payload === undefined ? `base64 ${entry.payload_base64}` : entry.payload;
}
