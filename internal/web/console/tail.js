import { html, useEffect, useRef, useState } from "./preact.js";
import { checkSession, get, nameOf, request } from "./api.js";
import { usePolled } from "./live.js";
import { count, precise, shown } from "./format.js";

const kept = 500; // messages in the page

// useTail receives the messages of a topic. The browser comes back by itself after a cut, and conch goes on behind the last message.
function useTail(tail) {
  const [state, setState] = useState({ messages: [], received: 0, missed: 0, status: "" });
  const waiting = useRef([]);
  useEffect(() => {
    if (!tail) return undefined;
    const query = new URLSearchParams({ topic: tail.topic, format: "json" });
    if (/[*?[]/.test(tail.topic)) query.set("pattern", "1");
    if (tail.where) query.set("where", tail.where);
    if (tail.last) query.set("last", tail.last);
    query.set("name", tail.name);
    const source = new EventSource(`/events?${query}`);
    let timer = 0;
    let last = 0;
    const set = (change) => setState((s) => ({ ...s, ...change }));
    const flush = () => { // five times a second at most, however many came
      timer = 0;
      last = performance.now();
      const came = waiting.current.splice(0);
      const newest = came.filter((m) => m.event === "message").slice(-kept).reverse();
      setState((s) => ({
        ...s,
        messages: newest.concat(s.messages).slice(0, kept),
        received: s.received + came.filter((m) => m.event === "message").length,
        missed: s.missed + came.reduce((n, m) => n + (m.event === "missed" ? m.count || 1 : 0), 0),
      }));
    };
    const take = (text) => {
      const m = JSON.parse(text);
      m.at = performance.now();
      waiting.current.push(m);
      timer ||= setTimeout(flush, Math.max(0, last + 200 - performance.now()));
    };
    source.onopen = () => set({ status: "live" });
    source.onerror = () => {
      const refused = source.readyState === EventSource.CLOSED;
      set({ status: refused ? "refused: check the topic, the predicate and your rights" : "cut off; coming back …" });
      if (refused) checkSession();
    };
    source.onmessage = (e) => e.data && take(e.data);
    source.addEventListener("missed", (e) => take(e.data));
    source.addEventListener("closing", (e) => {
      const why = JSON.parse(e.data);
      set({ status: `ended: ${why.error || why.reason}` });
      if (why.reason === "session" || why.reason === "token" || why.reason === "rights") {
        source.close();
        checkSession();
      }
    });
    setState({ messages: [], received: 0, missed: 0, status: "connecting …" });
    return () => {
      source.close();
      clearTimeout(timer);
      waiting.current = [];
    };
  }, [tail]);
  return state;
}

// useHeldBack counts what the predicate of a tail held back: the subscribers of the topic have the tail among them, by its name. Each
// connection of the tail counts anew.
function useHeldBack(tail, may) {
  const seen = useRef({ id: 0, before: 0, now: 0 });
  const wanted = tail && tail.where && may["pubsub|who"];
  const { value } = usePolled(async () => {
    if (!wanted) return null;
    const { subscribers } = await get(`/topics/${encodeURIComponent(tail.topic)}/subscribers`);
    const own = subscribers.find((row) => nameOf(row) === tail.name);
    const s = seen.current;
    if (own && own.id !== s.id) seen.current = { id: own.id, before: s.name === tail.name ? s.before + s.now : 0, now: own.filtered, name: tail.name };
    else if (own) s.now = own.filtered;
    return seen.current.name === tail.name ? seen.current.before + seen.current.now : null;
  }, 1000, [tail]);
  return value;
}

// newTail is what a tail is about, and the name of its connection.
const newTail = (topic, where) => ({ topic, where, last: "10", name: `console-${crypto.getRandomValues(new Uint32Array(2)).join("-")}` });

// Tail shows what comes to a topic, and publishes to it.
export function Tail({ may, rest }) {
  const [topic, setTopic] = useState(rest[0] || "");
  const [where, setWhere] = useState("");
  const [tail, setTail] = useState(rest[0] ? newTail(rest[0], "") : null);
  const { messages, received, missed, status } = useTail(tail);
  const heldBack = useHeldBack(tail, may);
  const start = (e) => {
    e.preventDefault();
    if (topic) setTail(newTail(topic, where.trim()));
  };
  return html`<h2>Tail</h2>
    <form class="bar" onSubmit=${start}>
      <label>Topic <input value=${topic} onInput=${(e) => setTopic(e.target.value)} placeholder="news, or a glob: news.*" required /></label>
      <label>Where <input value=${where} onInput=${(e) => setWhere(e.target.value)} placeholder="price > 100" /></label>
      <button>Listen</button>
      ${tail && html`<button type="button" onClick=${() => setTail(null)}>Stop</button>`}
    </form>
    ${may.publish && html`<${Publish} topic=${topic} messages=${messages} />`}
    ${tail && html`<p role="status">${shown(tail.topic)}${tail.where && ` where ${shown(tail.where)}`}: ${status}. ${count(received)} received${heldBack !== null && `, ${count(heldBack)} held back by the predicate`}${missed > 0 && html`, <b class="warn">${count(missed)} missed</b>`}</p>`}
    <ol class="tail" aria-label="messages, the newest first">
      ${messages.map((m) => html`<li key=${`${m.epoch}-${m.sequence}-${m.pattern || ""}`}>
        <span class="faint">${m.sequence}</span> <b>${shown(m.topic ?? `base64 ${m.topic_base64}`)}</b>${" "}
        <code>${m.payload === undefined ? `base64 ${m.payload_base64}` : shown(m.payload)}</code>
      </li>`)}
    </ol>`;
}

// Publish is the box to publish. If the message comes to the tail, it shows after what time.
function Publish({ topic, messages }) {
  const [text, setText] = useState("");
  const [note, setNote] = useState("");
  const [sent, setSent] = useState(null);
  const back = sent && messages.find((m) => m.sequence === sent.sequence && m.epoch === sent.epoch);
  const send = async (e) => {
    e.preventDefault();
    if (!topic) return setNote("name a topic first");
    const at = performance.now();
    setSent(null);
    try {
      const response = await (await request("POST", `/events?topic=${encodeURIComponent(topic)}`, { body: new Blob([text]) })).json();
      setNote(`published to ${count(response.receivers)} subscription${response.receivers === 1 ? "" : "s"}`);
      setSent({ ...response, at });
      setText("");
    } catch (p) {
      setNote(p.message);
    }
  };
  return html`<form class="bar" onSubmit=${send}>
    <label class="wide">Message <input value=${text} onInput=${(e) => setText(e.target.value)} placeholder="I'm a message!" /></label>
    <button>Publish</button> <span class="faint" role="status">${note}${back && `; here after ${precise(back.at - sent.at)} ms`}</span>
  </form>`;
}
