import { html } from "./preact.js";
import { get } from "./api.js";
import { Fact } from "./fact.js";
import { bytes, count, precise } from "./format.js";
import { useHistory } from "./history.js";
import { usePolled } from "./live.js";
import { Losses } from "./losses.js";
import { Plot } from "./plot.js";

// Overview is what the broker does now.
export function Overview({ may }) {
  return may.info ? html`<${WithMetrics} may=${may} />` : html`<${Names} />`;
}

const time = (n) => (n === null ? "–" : n < 1000 ? `${precise(n)} ms` : `${precise(n / 1000)} s`);
const percent = (n) => `${precise(n)} %`;

function WithMetrics({ may }) {
  const { points, now, problem } = useHistory();
  const value = (name) => (now ? now.get(name) : null);
  const data = (...names) => [points.time, ...names.map((name) => points[name])];
  return html`<div class="bar title"><h2>Overview</h2> ${problem && html`<span class="problem" role="alert">${problem.message}</span>`}</div>
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
      <${Plot} title="Messages a second" lines=${["published", "delivered"]} data=${data("published", "delivered")} show=${count} />
      <${Plot} title="Bytes a second" lines=${["in", "out"]} data=${data("received", "sent")} show=${bytes} />
      <${Plot} title="Deliveries for each message" lines=${["fan-out"]} data=${data("fanOut")} show=${count} />
      <${Plot} title="Latency: a message waits to be sent; an answer over HTTP" lines=${["message", "answer"]} data=${data("wait", "answer")} show=${time} />
      <${Plot} title="Messages that wait, and losses a second" lines=${["waiting", "dropped", "undelivered"]} data=${data("queued", "dropped", "undelivered")} show=${count} />
      <${Plot} title="Work of the core" lines=${["of its time"]} data=${data("busy")} show=${percent} />
    </div>
    <${Losses} values=${now} may=${may} />`;
}

// Names is for a user without the right to INFO.
function Names() {
  const { value, problem } = usePolled(() => get("/topics"), 1000);
  return html`<div class="bar title"><h2>Overview</h2> ${problem && html`<span class="problem" role="alert">${problem.message}</span>`}</div>
    <dl class="facts"><${Fact} name="names with subscribers" value=${value && count(value.names)} /></dl>`;
}
