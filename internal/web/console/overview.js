import { html, useEffect, useRef, useState } from "./preact.js";
import { get } from "./api.js";
import { answerTime, metrics, usePolled } from "./live.js";
import { bytes, count } from "./format.js";
import { Plot } from "./plot.js";

const kept = 180; // points of a plot
const every = 1000;

const rates = ["conch_messages_published_total", "conch_messages_delivered_total", "conch_received_bytes_total", "conch_sent_bytes_total"];

// useHistory keeps the last points of what /metrics counts, as rates of a second.
function useHistory() {
  const [points, setPoints] = useState({ time: [], rate: rates.map(() => []), answer: [] });
  const before = useRef(null);
  const polled = usePolled(async () => {
    const [now, answer] = [await metrics(), await answerTime()];
    return { now, answer, at: Date.now() / 1000 };
  }, every);
  useEffect(() => {
    const s = polled.value;
    if (!s) return;
    const b = before.current;
    before.current = s;
    if (!b || b === s) return;
    const span = s.at - b.at;
    setPoints((p) => ({
      time: [...p.time.slice(1 - kept), s.at],
      rate: rates.map((name, i) => [...p.rate[i].slice(1 - kept), Math.max(0, (s.now.get(name) - b.now.get(name)) / span)]),
      answer: [...p.answer.slice(1 - kept), s.answer],
    }));
  }, [polled.value]);
  return { points, now: polled.value && polled.value.now, problem: polled.problem };
}

// Overview is what the broker does now.
export function Overview({ may }) {
  return may.info ? html`<${WithMetrics} />` : html`<${Names} />`;
}

function WithMetrics() {
  const { points, now, problem } = useHistory();
  const endings = usePolled(() => get("/endings"), 5000);
  const value = (name) => (now ? now.get(name) : null);
  return html`<h2>Overview</h2>
    ${problem && html`<p class="problem" role="alert">${problem.message}</p>`}
    <dl class="facts">
      <${Fact} name="connections" value=${count(value("conch_connections"))} />
      <${Fact} name="subscribers" value=${count(value("conch_subscribers"))} />
      <${Fact} name="topics" value=${count(value("conch_topics"))} />
      <${Fact} name="messages queued" value=${count(value("conch_messages_queued"))} />
      <${Fact} name="sequence" value=${value("conch_sequence")} />
      <${Fact} name="streams" value=${count(value("conch_streams_keys"))} />
      <${Fact} name="memory of clients" value=${bytes(value("conch_client_memory_bytes"))} />
      <${Fact} name="dropped" value=${count(value("conch_messages_dropped_total"))} warn=${value("conch_messages_dropped_total") > 0} />
      <${Fact} name="undelivered" value=${count(value("conch_messages_undelivered_total"))} />
      <${Fact} name="bytes lost" value=${bytes(value("conch_lost_bytes_total"))} warn=${value("conch_lost_bytes_total") > 0} />
    </dl>
    <div class="plots">
      <${Plot} title="Messages a second" lines=${["published", "delivered"]} data=${[points.time, points.rate[0], points.rate[1]]} show=${count} />
      <${Plot} title="Bytes a second" lines=${["in", "out"]} data=${[points.time, points.rate[2], points.rate[3]]} show=${bytes} />
      <${Plot} title="Deliveries for each message" lines=${["fan-out"]} data=${[points.time, points.rate[1].map((d, i) => (points.rate[0][i] ? d / points.rate[0][i] : 0))]} show=${count} />
      <${Plot} title="Time of an answer of the core, over HTTP" lines=${["milliseconds"]} data=${[points.time, points.answer]} show=${(n) => `${Math.round(n * 10) / 10} ms`} />
    </div>
    <${Endings} ended=${endings.value ? endings.value.ended : {}} />`;
}

const Fact = ({ name, value, warn }) => html`<div class=${warn ? "warn" : ""}><dt>${name}</dt><dd>${value === null || value === undefined ? "–" : value}</dd></div>`;

// lossy are the reasons with which a connection may lose what waited for it.
const lossy = ["slow_hard", "slow_soft", "stalled", "memory", "log_failed", "panic"];

function Endings({ ended }) {
  const rows = Object.entries(ended).filter(([, n]) => n > 0);
  return html`<section aria-labelledby="endings"><h3 id="endings">Connections that ended, by reason</h3>
    ${rows.length === 0 ? html`<p class="empty">none yet</p>` : html`<ul class="endings">${rows.map(([reason, n]) => html`<li key=${reason} class=${lossy.includes(reason) ? "warn" : ""}>${reason} <b>${count(n)}</b></li>`)}</ul>`}
  </section>`;
}

// Names is for a user without the right to INFO.
function Names() {
  const { value, problem } = usePolled(() => get("/topics"), every);
  return html`<h2>Overview</h2>
    ${problem && html`<p class="problem" role="alert">${problem.message}</p>`}
    <dl class="facts"><${Fact} name="names with subscribers" value=${value && count(value.names)} /></dl>`;
}
