import { useEffect, useRef, useState } from "./preact.js";
import { answerTime, metrics, usePolled } from "./live.js";

const kept = 180; // points of a plot
const every = 1000;

// sum adds up a metric over all values of its labels.
function sum(values, name) {
  let all = values.get(name) || 0;
  for (const [key, value] of values) if (key.startsWith(`${name}{`)) all += value;
  return all;
}

// lines are what is plotted. Each makes a number of two samples and the seconds between them; null leaves a gap.
const rate = (name) => (now, before, span) => Math.max(0, (now.values.get(name) - before.values.get(name)) / span);
const lines = {
  published: rate("conch_messages_published_total"),
  delivered: rate("conch_messages_delivered_total"),
  dropped: rate("conch_messages_dropped_total"),
  undelivered: rate("conch_messages_undelivered_total"),
  received: rate("conch_received_bytes_total"),
  sent: rate("conch_sent_bytes_total"),
  answer: (now) => now.answer,
  queued: (now) => now.values.get("conch_messages_queued"),
  busy: (now, before, span) => (100 * Math.max(0, now.busy - before.busy)) / span,
  fanOut: (now, before, span, point) => (point.published ? point.delivered / point.published : 0),
  // Little's law: as long as they come and go at one pace, what waits, divided by what goes in a second, is how long each waits.
  wait: (now, before, span, point) => (point.delivered ? (1000 * (now.values.get("conch_messages_queued") + before.values.get("conch_messages_queued"))) / 2 / point.delivered : null),
};

// useHistory keeps the last points of what /metrics counts.
export function useHistory() {
  const [points, setPoints] = useState({ time: [], ...Object.fromEntries(Object.keys(lines).map((name) => [name, []])) });
  const last = useRef(null);
  const polled = usePolled(async () => {
    const values = await metrics();
    return { values, busy: sum(values, "conch_command_core_seconds_total"), answer: await answerTime(), at: Date.now() / 1000 };
  }, every);
  useEffect(() => {
    const now = polled.value;
    const before = last.current;
    last.current = now;
    if (!before || before === now) return;
    const point = { time: now.at };
    for (const [name, line] of Object.entries(lines)) point[name] = line(now, before, now.at - before.at, point);
    setPoints((p) => Object.fromEntries(Object.entries(point).map(([name, value]) => [name, [...p[name].slice(1 - kept), value]])));
  }, [polled.value]);
  return { points, now: polled.value && polled.value.values, problem: polled.problem };
}
