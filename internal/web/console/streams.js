import { html, useMemo, useRef, useState } from "./preact.js";
import { get, keyOf, nameOf } from "./api.js";
import { usePolled } from "./live.js";
import { Entries } from "./entries.js";
import { bytes, count, shown } from "./format.js";
import { Groups } from "./groups.js";
import { Table, numbers } from "./table.js";

// Streams is the table of streams, the entries of one, or its groups.
export function Streams({ may, rest }) {
  const [stream, part, ...more] = rest;
  if (stream === undefined) return html`<${Names} may=${may} />`;
  if (part === "groups" && may["xinfo|groups"]) return html`<${Groups} key=${stream} stream=${stream} may=${may} rest=${more} />`;
  return may.xrange ? html`<${Entries} key=${stream} stream=${stream} may=${may} />` : html`<p class="empty">this user may not read entries</p>`;
}

// useRates gets the streams, with how many entries a second each has had since the last time.
function useRates(filter, may) {
  const before = useRef(new Map());
  return usePolled(async () => {
    if (!may.scan) return null;
    const glob = filter.trim() && (/[*?[]/.test(filter) ? filter : `*${filter}*`);
    const list = await get(`/streams${glob ? `?match=${encodeURIComponent(glob)}` : ""}`);
    const at = performance.now();
    const now = new Map();
    for (const row of list.streams) {
      const b = before.current.get(nameOf(row, "stream"));
      row.rate = b && row.added !== undefined ? Math.max(0, ((row.added - b.added) * 1000) / (at - b.at)) : null;
      now.set(nameOf(row, "stream"), { added: row.added, at });
    }
    before.current = now;
    return list;
  }, 2000, [filter]);
}

function Names({ may }) {
  const [filter, setFilter] = useState("");
  const { value, problem } = useRates(filter, may);
  const columns = useMemo(() => [
    { key: "stream", title: "stream", left: true, value: (row) => nameOf(row, "stream"),
      cell: (row) => (keyOf(row, "stream") === null || !may.xrange ? shown(nameOf(row, "stream")) : html`<a href=${`#/streams/${encodeURIComponent(row.stream)}`}>${shown(row.stream)}</a>`) },
    { key: "length", title: "entries", value: (row) => row.length ?? -1, cell: (row) => count(row.length) },
    { key: "bytes", title: "bytes", value: (row) => row.bytes ?? -1, cell: (row) => bytes(row.bytes) },
    { key: "rate", title: "a second", value: (row) => row.rate ?? -1, cell: (row) => count(row.rate) },
    ...numbers("added"),
    { key: "groups", title: "groups", value: (row) => row.groups ?? -1, cell: (row) => (may["xinfo|groups"] && row.groups > 0 && keyOf(row, "stream") !== null
      ? html`<a aria-label=${`groups of ${shown(row.stream)}: ${row.groups}`} href=${`#/streams/${encodeURIComponent(row.stream)}/groups`}>${count(row.groups)}</a>` : count(row.groups)) },
    { key: "last", title: "last id", left: true, value: (row) => row.last_id ?? "" },
  ], [may]);
  const open = (e) => {
    e.preventDefault();
    location.hash = `#/streams/${encodeURIComponent(new FormData(e.target).get("stream"))}${may.xrange ? "" : "/groups"}`;
  };
  return html`<h2>Streams</h2>
    <form class="bar" onSubmit=${open}>
      <label>Filter or name <input name="stream" type="search" value=${filter} onInput=${(e) => setFilter(e.target.value)} placeholder="part of a name, or a glob" required /></label>
      <button>Open this name</button>
      <span class="faint" role="status">${value ? `${value.streams.length}${value.more ? " of more" : ""}` : ""}</span>
      ${problem && html`<span class="problem" role="alert">${problem.message}</span>`}
    </form>
    ${may.scan && html`<${Table} label="streams" columns=${columns} rows=${value ? value.streams : []} idOf=${(row) => nameOf(row, "stream")} empty=${value ? "no stream" : ""} />`}`;
}
