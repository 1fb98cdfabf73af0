import { html, useLayoutEffect, useMemo, useRef, useState } from "./preact.js";
import { count } from "./format.js";

const rowHeight = 32;

// numbers are columns of counts that have the names of their fields.
export const numbers = (...keys) => keys.map((key) => ({ key, title: key, value: (row) => row[key] ?? -1, cell: (row) => count(row[key]) }));

// Table shows any number of rows: only those in sight are in the page. columns are {key, title, value, cell, left}: value sorts, cell
// shows. A row has a stable id, so that the focus stays while it moves. short is for a table that shares its view with others.
export function Table({ label, columns, rows, idOf, sort, short, empty = "nothing here" }) {
  const [order, setOrder] = useState(sort || { key: columns[0].key, down: false });
  const [view, setView] = useState({ top: 0, height: 480 });
  const box = useRef(null);
  const sorted = useMemo(() => sortRows(rows, columns, order), [rows, columns, order]);
  useLayoutEffect(() => {
    const measure = () => setView((v) => ({ ...v, height: box.current ? box.current.clientHeight : v.height }));
    measure();
    addEventListener("resize", measure);
    return () => removeEventListener("resize", measure);
  }, []);
  const first = Math.max(0, Math.floor(view.top / rowHeight) - 8);
  const last = Math.min(sorted.length, Math.ceil((view.top + view.height) / rowHeight) + 8);
  const scrolled = (e) => {
    const top = e.currentTarget.scrollTop;
    if (Math.abs(top - view.top) >= rowHeight) setView((v) => ({ ...v, top }));
  };
  return html`<div class=${short ? "short table" : "table"} ref=${box} onScroll=${scrolled} tabindex="0" role="region" aria-label=${label}>
    <table aria-rowcount=${sorted.length + 1}>
      <thead><tr>${columns.map((c) => html`<${Head} key=${c.key} column=${c} order=${order} set=${setOrder} />`)}</tr></thead>
      <tbody>
        ${first > 0 && html`<tr class="space" aria-hidden="true"><td colspan=${columns.length} style=${{ height: `${first * rowHeight}px` }}></td></tr>`}
        ${sorted.slice(first, last).map((row, i) => html`<tr key=${idOf(row)} aria-rowindex=${first + i + 2}>
          ${columns.map((c) => html`<td key=${c.key} class=${c.left ? "left" : ""}>${c.cell ? c.cell(row) : c.value(row)}</td>`)}
        </tr>`)}
        ${last < sorted.length && html`<tr class="space" aria-hidden="true"><td colspan=${columns.length} style=${{ height: `${(sorted.length - last) * rowHeight}px` }}></td></tr>`}
      </tbody>
    </table>
    ${sorted.length === 0 && html`<p class="empty">${empty}</p>`}
  </div>`;
}

function Head({ column, order, set }) {
  const active = order.key === column.key;
  if (!column.value) return html`<th scope="col" class=${column.left ? "left" : ""}>${column.title || html`<span class="hidden">${column.label}</span>`}</th>`;
  return html`<th scope="col" class=${column.left ? "left" : ""} aria-sort=${active ? (order.down ? "descending" : "ascending") : "none"}>
    <button class="sort" onClick=${() => set({ key: column.key, down: active ? !order.down : !column.left })}>${column.title}${active ? (order.down ? " ▾" : " ▴") : ""}</button>
  </th>`;
}

function sortRows(rows, columns, order) {
  const column = columns.find((c) => c.key === order.key);
  if (!column || !column.value) return rows;
  const values = rows.map((row, place) => ({ row, place, value: column.value(row) }));
  values.sort((a, b) => {
    const by = a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
    return (order.down ? -by : by) || a.place - b.place;
  });
  return values.map((v) => v.row);
}
