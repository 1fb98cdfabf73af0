import { html, useEffect, useMemo, useRef, useState } from "./preact.js";
import { get } from "./api.js";
import { disconnectColumn } from "./disconnect.js";
import { bytes, clock, count, seconds, shown } from "./format.js";
import { Table, numbers } from "./table.js";

const keptEvents = 50;

// lossy are the reasons with which a connection may lose what waited for it.
const lossy = ["slow_hard", "slow_soft", "stalled", "memory", "log_failed", "panic"];

// endings are how many connections ended, by reason.
function endings(values) {
  const ended = {};
  for (const [key, value] of values || []) {
    const reason = /^conch_connections_ended_total\{reason="(.*)"\}$/.exec(key);
    if (reason && value > 0) ended[reason[1]] = value;
  }
  return ended;
}

// useLosses watches for slow subscribers and losses. values are those of /metrics, once a second. Connections are looked at only while
// messages wait, or were lost: a list of ten thousand is long.
function useLosses(values, may) {
  const before = useRef(null);
  const known = useRef(new Map()); // by id, what each connection has lost
  const [slow, setSlow] = useState([]);
  const [events, setEvents] = useState([]);
  useEffect(() => {
    if (!values) return undefined;
    const lost = values.get("conch_messages_dropped_total") + values.get("conch_messages_undelivered_total");
    const ended = endings(values);
    const last = before.current;
    before.current = { lost, ended };
    const came = [];
    const note = (text) => came.unshift({ at: clock(new Date()), text });
    const add = () => {
      const some = came.splice(0);
      if (some.length > 0) setEvents((all) => some.concat(all).slice(0, keptEvents));
    };
    for (const reason of last ? lossy : []) {
      const n = (ended[reason] || 0) - (last.ended[reason] || 0);
      if (n > 0) note(`${n} connection${n === 1 ? "" : "s"} ended: ${reason}`);
    }
    if (last && lost > last.lost) note(`${count(lost - last.lost)} message${lost - last.lost === 1 ? "" : "s"} lost`);
    add();
    const wanted = may["client|list"] && (values.get("conch_messages_queued") > 0 || (last && lost > last.lost));
    if (!wanted) {
      setSlow((s) => (s.length > 0 ? [] : s));
      return undefined;
    }
    let stale = false;
    get("/connections").then(({ connections }) => {
      if (stale) return;
      const now = new Map();
      for (const c of connections) {
        if (c.dropped > 0) now.set(c.id, c.dropped);
        const more = c.dropped - (known.current.get(c.id) || 0);
        if (more > 0 && last) note(`connection ${c.id} (${shown(c.name || c.user)}, ${c.addr}) lost ${count(more)}: it reads too slowly (${c.slow})`);
      }
      known.current = now;
      add();
      setSlow(connections.filter((c) => c.omem > 0).sort((a, b) => b.omem - a.omem).slice(0, 20));
    }, () => null);
    return () => (stale = true);
  }, [values]);
  return { slow, events };
}

// Losses shows slow subscribers, what was lost while the page looks, and how connections have ended.
export function Losses({ values, may }) {
  const { slow, events } = useLosses(values, may);
  const [note, setNote] = useState("");
  const columns = useMemo(() => [
    { key: "id", title: "id", left: true, value: (c) => c.id },
    ...disconnectColumn(may, setNote),
    { key: "name", title: "name", left: true, value: (c) => shown(c.name || c["lib-name"] || "") },
    { key: "user", title: "user", left: true, value: (c) => shown(c.user) },
    { key: "addr", title: "address", left: true, value: (c) => c.addr },
    { key: "omem", title: "backlog", value: (c) => c.omem, cell: (c) => bytes(c.omem) },
    ...numbers("delivered", "dropped"),
    { key: "slow", title: "policy", left: true, value: (c) => c.slow },
    { key: "age", title: "age", value: (c) => c.age, cell: (c) => seconds(c.age) },
  ], [may]);
  const ended = Object.entries(endings(values));
  return html`
    ${may["client|list"] && html`<div class="bar title"><h3>Subscribers that something waits for</h3> <span class="faint" role="status">${note}</span></div>
    <${Table} label="slow subscribers" short columns=${columns} rows=${slow} idOf=${(c) => c.id} sort=${{ key: "omem", down: true }} empty="nothing waits" />`}
    <h3 id="losses">Losses since this page is open</h3>
    <div class="short box" tabindex="0" role="region" aria-labelledby="losses">
      ${events.length === 0 ? html`<p class="empty">none</p>` : html`<ol class="tail">
        ${events.map((e, i) => html`<li key=${events.length - i}><span class="faint">${e.at}</span> <span class="warn">${e.text}</span></li>`)}
      </ol>`}
    </div>
    <h3>Connections that ended, by reason</h3>
    ${ended.length === 0 ? html`<p class="empty">none yet</p>`
      : html`<ul class="endings">${ended.map(([reason, n]) => html`<li key=${reason} class=${lossy.includes(reason) ? "warn" : ""}>${reason} <b>${count(n)}</b></li>`)}</ul>`}`;
}
