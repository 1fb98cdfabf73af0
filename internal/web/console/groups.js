import { html, useMemo, useState } from "./preact.js";
import { get, keyOf, nameOf, postJSON } from "./api.js";
import { usePolled } from "./live.js";
import { count, milliseconds, shown } from "./format.js";
import { Fact } from "./fact.js";
import { pageSize, usePages } from "./pages.js";
import { Table, numbers } from "./table.js";

const pathOf = (stream, group) => `/streams/${encodeURIComponent(stream)}/groups/${encodeURIComponent(group)}`;

// Groups is the table of the consumer groups of a stream, or one group.
export function Groups({ stream, may, rest }) {
  return rest.length > 0 ? html`<${Group} key=${rest[0]} stream=${stream} group=${rest[0]} may=${may} />` : html`<${All} stream=${stream} may=${may} />`;
}

const useGroups = (stream) => usePolled(async () => (await get(`/streams/${encodeURIComponent(stream)}/groups`)).groups, 2000);

function All({ stream, may }) {
  const { value, problem } = useGroups(stream);
  const columns = useMemo(() => [
    { key: "name", title: "group", left: true, value: (g) => nameOf(g), cell: (g) => (keyOf(g) === null ? shown(nameOf(g))
      : html`<a href=${`#${pathOf(stream, g.name)}`}>${shown(g.name)}</a>`) },
    ...numbers("lag", "pending", "consumers", "missed"),
    { key: "read", title: "entries read", value: (g) => g["entries-read"] ?? -1, cell: (g) => count(g["entries-read"]) },
    { key: "last", title: "last delivered", left: true, value: (g) => g["last-delivered-id"] },
  ], [stream]);
  return html`<h2>Groups of ${shown(stream)}</h2>
    <div class="bar"><a href="#/streams">all streams</a>
      ${may.xrange && html`<a href=${`#/streams/${encodeURIComponent(stream)}`}>entries</a>`}
      ${problem && html`<span class="problem" role="alert">${problem.message}</span>`}
    </div>
    <${Table} label="groups" columns=${columns} rows=${value || []} idOf=${(g) => nameOf(g)} sort=${{ key: "lag", down: true }} empty=${value ? "no group" : ""} />`;
}

// Group is one group: how far it is, its consumers, and what is pending.
function Group({ stream, group, may }) {
  const { value, problem } = useGroups(stream);
  const [consumer, setConsumer] = useState("");
  const now = value && value.find((g) => keyOf(g) === group);
  return html`<h2>Group ${shown(group)} of ${shown(stream)}</h2>
    <div class="bar"><a href=${`#/streams/${encodeURIComponent(stream)}/groups`}>all groups of the stream</a>
      ${problem && html`<span class="problem" role="alert">${problem.message}</span>`}
      ${value && !now && html`<span class="problem" role="alert">there is no such group</span>`}
    </div>
    <dl class="facts">
      <${Fact} name="lag: not delivered yet" value=${now && count(now.lag)} />
      <${Fact} name="pending: not acknowledged" value=${now && count(now.pending)} />
      <${Fact} name="missed: trimmed unread" value=${now && count(now.missed)} warn=${now && now.missed > 0} />
      <${Fact} name="last delivered" value=${now && now["last-delivered-id"]} />
    </dl>
    ${may["xinfo|consumers"] && html`<${Consumers} stream=${stream} group=${group} choose=${setConsumer} chosen=${consumer} />`}
    ${may.xpending && html`<${Pending} stream=${stream} group=${group} may=${may} consumer=${consumer} choose=${setConsumer} />`}`;
}

function Consumers({ stream, group, choose }) {
  const { value, problem } = usePolled(async () => (await get(`${pathOf(stream, group)}/consumers`)).consumers, 2000);
  const columns = useMemo(() => [
    { key: "name", title: "consumer", left: true, value: (c) => nameOf(c), cell: (c) => (keyOf(c) === null ? shown(nameOf(c))
      : html`<button class="link" onClick=${() => choose(c.name)}>${shown(c.name)}</button>`) },
    ...numbers("pending"),
    { key: "idle", title: "last seen", value: (c) => c.idle, cell: (c) => milliseconds(c.idle) },
    { key: "inactive", title: "last entry", value: (c) => c.inactive, cell: (c) => (c.inactive < 0 ? "never" : milliseconds(c.inactive)) },
  ], []);
  return html`<h3>Consumers</h3>
    ${problem && html`<p class="problem" role="alert">${problem.message}</p>`}
    <${Table} label="consumers" short columns=${columns} rows=${value || []} idOf=${(c) => nameOf(c)} sort=${{ key: "pending", down: true }} empty=${value ? "no consumer" : ""} />`;
}

// Pending are the entries that are delivered and not acknowledged. It releases them, and passes them to another consumer.
function Pending({ stream, group, may, consumer, choose }) {
  const [to, setTo] = useState("");
  const [note, setNote] = useState("");
  const { page, buttons, again } = usePages((start) => {
    const query = new URLSearchParams({ count: pageSize });
    if (start) query.set("from", start);
    if (consumer) query.set("consumer", consumer);
    return get(`${pathOf(stream, group)}/pending?${query}`);
  }, [stream, group, consumer]);
  const act = async (what, query, done) => {
    try {
      await postJSON(`${pathOf(stream, group)}/${what}${query}`, { ids: [done.id] });
      setNote(`${done.id} ${done.text}`);
    } catch (p) {
      setNote(p.message);
    }
    again();
  };
  const columns = useMemo(() => [
    { key: "id", title: "entry", left: true, value: (e) => e.id },
    ...(may.xnack ? [{ key: "release", label: "release", cell: (e) => html`<button aria-label=${`release ${e.id}`} disabled=${e.idle === null}
      onClick=${() => act("release", "", { id: e.id, text: "is for any consumer to claim" })}>release</button>` }] : []),
    ...(may.xclaim ? [{ key: "claim", label: "pass on", cell: (e) => html`<button aria-label=${`pass on ${e.id}`} disabled=${!to}
      onClick=${() => act("claim", `?consumer=${encodeURIComponent(to)}`, { id: e.id, text: `is with ${shown(to)}` })}>pass on</button>` }] : []),
    { key: "consumer", title: "consumer", left: true, value: (e) => (e.idle === null ? "" : nameOf(e, "consumer")), cell: (e) => (e.idle === null ? html`<i>released</i>` : shown(nameOf(e, "consumer"))) },
    { key: "idle", title: "since its delivery", value: (e) => e.idle ?? -1, cell: (e) => (e.idle === null ? "–" : milliseconds(e.idle)) },
    ...numbers("deliveries"),
  ], [may, to, stream, group]);
  return html`<h3>Pending${consumer && html` for ${shown(consumer)} <button onClick=${() => choose("")}>all consumers</button>`}</h3>
    <div class="bar">
      ${may.xclaim && html`<label>Pass on to <input value=${to} onInput=${(e) => setTo(e.target.value)} placeholder="a consumer" /></label>`}
      ${buttons} <span class="faint" role="status">${note}</span>
    </div>
    <${Table} label="pending entries" short columns=${columns} rows=${page ? page.pending : []} idOf=${(e) => e.id} empty=${page ? "nothing is pending" : ""} />`;
}
