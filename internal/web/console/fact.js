import { html } from "./preact.js";

// Fact is a number with its name, in a list of the class facts.
export const Fact = ({ name, value, warn }) => html`<div class=${warn ? "warn" : ""}><dt>${name}</dt><dd>${value === null || value === undefined ? "–" : value}</dd></div>`;
