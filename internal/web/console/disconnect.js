import { html } from "./preact.js";
import { remove } from "./api.js";

// disconnectColumn is the column of a table of connections with a button that ends one, for those who may. note gets what came of it.
export function disconnectColumn(may, note) {
  const end = async (id) => {
    try {
      await remove(`/connections/${id}`);
      note(`connection ${id} has ended`);
    } catch (p) {
      note(p.message);
    }
  };
  return may["client|kill"]
    ? [{ key: "end", label: "end", cell: (row) => html`<button aria-label=${`disconnect ${row.id}`} onClick=${() => end(row.id)}>disconnect</button>` }] : [];
}
