import { html, useState } from "./preact.js";
import { get } from "./api.js";
import { shown } from "./format.js";
import { pageSize, usePages } from "./pages.js";

// Entries shows a range of a stream, page by page.
export function Entries({ stream, may }) {
  const [reverse, setReverse] = useState(Boolean(may.xrevrange));
  const [from, setFrom] = useState("");
  const { page, buttons } = usePages((start) => {
    const query = new URLSearchParams({ count: pageSize, format: "json" });
    if (reverse) query.set("reverse", "1");
    if (start || from) query.set(reverse ? "to" : "from", start || from);
    return get(`/streams/${encodeURIComponent(stream)}?${query}`);
  }, [stream, reverse, from]);
  const entries = page ? page.entries : [];
  const begin = (e) => {
    e.preventDefault();
    setFrom(new FormData(e.target).get("from").trim());
  };
  return html`<h2>Stream ${shown(stream)}</h2>
    <form class="bar" onSubmit=${begin}>
      <a href="#/streams">all streams</a>
      ${may["xinfo|groups"] && html`<a href=${`#/streams/${encodeURIComponent(stream)}/groups`}>groups</a>`}
      <label>Begin at <input name="from" placeholder="an id, or 2026-11-21T10:00:00Z" /></label>
      <button>Go</button>
      ${may.xrevrange && html`<label><input type="checkbox" checked=${reverse} onChange=${() => setReverse(!reverse)} /> the newest first</label>`}
      ${buttons}
    </form>
    <ol class="tail" aria-label="entries">
      ${entries.map((e) => html`<li key=${e.id}><span class="faint">${e.id}</span> <code>${shown(textOf(e))}</code>${e.headers && html` <span class="faint">${shown(JSON.stringify(e.headers))}</span>`}</li>`)}
    </ol>
    ${page && entries.length === 0 && html`<p class="empty">no entries here</p>`}`;
}

function textOf(entry) {
  if (entry.fields) return JSON.stringify(entry.fields);
  return entry.payload === undefined ? `base64 ${entry.payload_base64}` : entry.payload;
}
