import { useEffect, useState } from "./preact.js";
import { get, text } from "./api.js";

// usePolled gets a value every so many milliseconds while the page is visible. After a failure the last value stays, beside the problem.
export function usePolled(load, every, inputs = []) {
  const [state, setState] = useState({ value: null, problem: null });
  useEffect(() => {
    let ended = false;
    let timer = null;
    const next = async () => {
      clearTimeout(timer);
      if (!document.hidden) {
        try {
          const value = await load();
          if (!ended) setState({ value, problem: null });
        } catch (problem) {
          if (!ended) setState((s) => ({ value: s.value, problem }));
        }
      }
      if (!ended) timer = setTimeout(next, every);
    };
    const seen = () => !document.hidden && next();
    document.addEventListener("visibilitychange", seen);
    next();
    return () => {
      ended = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, inputs);
  return state;
}

// metrics reads /metrics: numbers by name, and by name{labels}.
export async function metrics() {
  const values = new Map();
  for (const line of (await text("/metrics")).split("\n")) {
    const space = line.lastIndexOf(" ");
    if (line[0] !== "#" && space > 0) values.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return values;
}

// answerTime is how long a request to the core takes now, in milliseconds.
export async function answerTime() {
  const start = performance.now();
  await get("/healthz").catch(() => null);
  return performance.now() - start;
}
