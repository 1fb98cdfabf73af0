import { html, useEffect, useState } from "./preact.js";

export const pageSize = 50;

// usePages reads a list page by page. load gets the place where a page begins, "" for the first, and returns {next, more} beside the rows.
// inputs are what begins the list anew. The rows of the last page stay while another one comes.
export function usePages(load, inputs) {
  const [starts, setStarts] = useState([""]);
  const [round, setRound] = useState(0);
  const [page, setPage] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => setStarts([""]), inputs);
  useEffect(() => {
    let ended = false;
    load(starts.at(-1)).then((p) => !ended && (setPage(p), setProblem("")), (p) => !ended && setProblem(p.message));
    return () => (ended = true);
  }, [starts, round, ...inputs]);
  const buttons = html`
    <button type="button" onClick=${() => (setStarts([""]), setRound(round + 1))}>First page</button>
    <button type="button" disabled=${starts.length < 2} onClick=${() => setStarts(starts.slice(0, -1))}>Back</button>
    <button type="button" disabled=${!page || !page.more} onClick=${() => setStarts([...starts, page.next])}>Next</button>
    <span class="problem" role="alert">${problem}</span>`;
  return { page, buttons, again: () => setRound(round + 1) };
}
