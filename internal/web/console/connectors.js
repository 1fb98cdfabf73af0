import { html, useMemo, useRef, useState } from "./preact.js";
import { get, nameOf, request } from "./api.js";
import { usePolled } from "./live.js";
import { count, shown } from "./format.js";
import { Table, numbers } from "./table.js";

// hasConnectors reports whether there is something to show. Without the right, there is not.
export const hasConnectors = (may) => (may.info ? get("/connectors").then((all) => all.connectors.length > 0, () => false) : Promise.resolve(false));

const idOf = (c) => `${c.direction} ${c.name}`;
const into = (c) => (c.direction === "source" ? c.taken : c.matched);
const held = (c) => (c.direction === "source" ? c.held_back : c.filtered);
const through = (c) => (c.direction === "source" ? c.published : c.sent);

// useRates gets the connectors, with how many messages a second each has carried since the last time.
function useRates(round) {
  const before = useRef(new Map());
  return usePolled(async () => {
    const { connectors } = await get("/connectors");
    const at = performance.now();
    for (const c of connectors) {
      const b = before.current.get(idOf(c));
      c.rate = b ? Math.max(0, ((through(c) - b.through) * 1000) / (at - b.at)) : 0;
    }
    before.current = new Map(connectors.map((c) => [idOf(c), { through: through(c), at }]));
    return connectors;
  }, 1000, [round]);
}

const stateOf = (c) => html`<span class=${c.state === "failed" || c.state === "waiting" ? "warn" : ""}>${c.state}</span>`;

// Connectors is the table of sources and sinks, each with its account. It pauses and resumes them.
export function Connectors({ may }) {
  const [round, setRound] = useState(0);
  const [note, setNote] = useState("");
  const { value, problem } = useRates(round);
  const act = async (c, verb) => {
    try {
      await request("POST", `/connectors/${c.direction}/${encodeURIComponent(c.name)}/${verb}`);
      setNote(`${c.direction} ${c.name}: ${verb}d`);
    } catch (p) {
      setNote(p.message);
    }
    setRound((n) => n + 1);
  };
  const hasNodes = (value || []).some((c) => c.node);
  const columns = useMemo(() => [
    { key: "name", title: "name", left: true, value: (c) => shown(nameOf(c)) },
    { key: "pause", label: "pause or resume", cell: (c) => {
      const verb = c.state === "paused" ? "resume" : "pause";
      return may[`${c.direction}|${verb}`] && html`<button aria-label=${`${verb} ${c.direction} ${c.name}`} onClick=${() => act(c, verb)}>${verb}</button>`;
    } },
    { key: "direction", title: "direction", left: true, value: (c) => c.direction },
    { key: "system", title: "system", left: true, value: (c) => c.system, cell: (c) => html`<span title=${c.url}>${c.system}</span>` },
    { key: "state", title: "state", left: true, value: (c) => c.state, cell: stateOf },
    ...(hasNodes ? [{ key: "node", title: "runs on", left: true, value: (c) => c.node }] : []),
    { key: "topic", title: "topic", left: true, value: (c) => shown(c.topic + (c.where ? ` WHERE ${c.where}` : "")) },
    { key: "rate", title: "a second", value: (c) => c.rate, cell: (c) => count(c.rate) },
    { key: "into", title: "taken or matched", value: into, cell: (c) => count(into(c)) },
    { key: "through", title: "published or sent", value: through, cell: (c) => count(through(c)) },
    { key: "held", title: "held back", value: held, cell: (c) => count(held(c)) },
    ...numbers("pending", "lag", "retried", "dead", "lost", "restarts"),
    { key: "error", title: "last error", left: true, value: (c) => nameOf(c, "last_error"), cell: (c) => html`<span class="warn">${shown(nameOf(c, "last_error"))}</span>` },
  ], [may, hasNodes]);
  return html`<h2>Connectors</h2>
    <div class="bar">
      <span class="faint" role="status">${note || (value ? `${value.length}` : "")}</span>
      ${problem && html`<span class="problem" role="alert">${problem.message}</span>`}
    </div>
    <${Table} label="connectors" columns=${columns} rows=${value || []} idOf=${idOf} empty=${value ? "no connector" : ""} />`;
}
