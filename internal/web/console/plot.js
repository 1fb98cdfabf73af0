import { html, useEffect, useRef } from "./preact.js";
import { clock } from "./format.js";

const colors = ["#c2410c", "#2563eb", "#15803d"];

// Plot draws lines over the time. data is [seconds, values, …]; lines are their names; show words a value.
export function Plot({ title, data, lines, show }) {
  const box = useRef(null);
  const plot = useRef(null);
  useEffect(() => {
    const color = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name); // at each drawing: it may be dark by then
    const text = color("--faint");
    const grid = { stroke: color("--line"), width: 1 };
    const size = () => ({ width: box.current.clientWidth, height: 160 });
    plot.current = new window.uPlot({
      ...size(),
      legend: { live: false },
      cursor: { show: false },
      series: [{}, ...lines.map((label, i) => ({ label, stroke: colors[i], width: 1.5, points: { show: false } }))],
      axes: [{ stroke: text, grid, ticks: grid, space: 90, values: (_, all) => all.map((t) => clock(new Date(t * 1000))) }, { stroke: text, grid, ticks: grid, size: 64, values: (_, all) => all.map(show) }],
      scales: { x: { range: (_, low, high) => (high === null ? [null, null] : [Math.min(low, high - 60), high]) }, y: { range: (_, low, high) => [0, Math.max(high || 0, 1) * 1.1] } },
    }, data, box.current);
    const resize = new ResizeObserver(() => plot.current.setSize(size()));
    resize.observe(box.current);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => plot.current.redraw(false, true);
    dark.addEventListener("change", redraw);
    return () => {
      resize.disconnect();
      dark.removeEventListener("change", redraw);
      plot.current.destroy();
    };
  }, []);
  useEffect(() => plot.current && plot.current.setData(data), [data]);
  const now = lines.map((label, i) => `${label} ${show(data[i + 1].at(-1) ?? null)}`).join(", ");
  return html`<figure><figcaption>${title}</figcaption><div class="plot" role="img" aria-label=${`${title}: ${now}`} ref=${box}></div></figure>`;
}
