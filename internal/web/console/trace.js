import { html, useEffect, useRef, useState } from "./preact.js";
import { checkSession } from "./api.js";
import { count, shown } from "./format.js";

const kept = 500; // commands in the page
const perFrame = 200; // of those that come between two frames

// quoted is an argument of a command in a line.
const quoted = (text) => `"${Array.from(new TextEncoder().encode(text), (b) => (
  b === 34 || b === 92 || b < 32 || b > 126 ? `\\x${b.toString(16).padStart(2, "0")}` : String.fromCharCode(b))).join("")}"`;

// useTrace receives the commands of all connections, by MONITOR on a WebSocket. What comes faster than the page can show is counted.
function useTrace(trace) {
  const [state, setState] = useState({ lines: [], received: 0, status: "" });
  const waiting = useRef({ lines: [], received: 0 });
  useEffect(() => {
    if (!trace) return undefined;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`, "conch.lines");
    let frame = 0;
    let last = 0; // the key of a line
    let opened = false;
    let refused = "";
    waiting.current = { lines: [], received: 0 };
    const flush = () => { // once a frame, however many came
      frame = 0;
      const came = waiting.current;
      waiting.current = { lines: [], received: 0 };
      setState((s) => ({ ...s, received: s.received + came.received, lines: came.lines.reverse().concat(s.lines).slice(0, kept) }));
    };
    socket.onopen = () => {
      opened = true;
      socket.send(`MONITOR${trace.topic ? ` TOPIC ${quoted(trace.topic)}` : ""}${trace.user ? ` USER ${quoted(trace.user)}` : ""}`);
    };
    socket.onmessage = (e) => {
      if (e.data === "+OK") return setState((s) => ({ ...s, status: "live" }));
      if (e.data[0] === "-") {
        refused = e.data.slice(1);
        return socket.close();
      }
      const w = waiting.current;
      w.received++;
      if (w.lines.length < perFrame) w.lines.push({ key: ++last, text: e.data });
      frame ||= requestAnimationFrame(flush);
      return undefined;
    };
    socket.onclose = (e) => {
      setState((s) => ({ ...s, status: `ended: ${refused || e.reason || (opened ? "the connection is cut" : "refused")}` }));
      checkSession();
    };
    setState({ lines: [], received: 0, status: "connecting …" });
    return () => {
      socket.onclose = null;
      socket.close();
      cancelAnimationFrame(frame);
    };
  }, [trace]);
  return state;
}

// Trace shows commands as they take effect.
export function Trace({ rest }) {
  const [topic, setTopic] = useState(rest[0] || "");
  const [user, setUser] = useState("");
  const [trace, setTrace] = useState(null);
  const { lines, received, status } = useTrace(trace);
  const start = (e) => {
    e.preventDefault();
    setTrace({ topic: topic.trim(), user: user.trim() });
  };
  const left = received - lines.length;
  return html`<h2>Trace</h2>
    <form class="bar" onSubmit=${start}>
      <label>Topic <input value=${topic} onInput=${(e) => setTopic(e.target.value)} placeholder="all, or a glob: news.*" /></label>
      <label>User <input value=${user} onInput=${(e) => setUser(e.target.value)} placeholder="all" /></label>
      <button>Trace</button>
      ${trace && html`<button type="button" onClick=${() => setTrace(null)}>Stop</button>`}
    </form>
    ${trace && html`<p role="status">${shown(status)}. ${count(received)} commands${left > 0 && html`, <b>${count(left)} not shown</b>`}</p>`}
    <ol class="tail" aria-label="commands, the newest first">
      ${lines.map((l) => html`<li key=${l.key}><code>${shown(l.text)}</code></li>`)}
    </ol>`;
}
