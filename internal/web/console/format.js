// Numbers and names for people.

const counts = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (n) => (n === null || n === undefined ? "–" : n < 10000 ? String(Math.round(n * 10) / 10) : counts.format(n));

// precise has three digits at least.
export const precise = (n) => (n === null || n === undefined ? "–" : n < 10 ? String(Math.round(n * 100) / 100) : String(Math.round(n)));

export function bytes(n) {
  if (n === null || n === undefined) return "–";
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (n < 1024 || unit === "TiB") return `${n < 10 && unit !== "B" ? n.toFixed(1) : Math.round(n)} ${unit}`;
    n /= 1024;
  }
}

export const milliseconds = (n) => (n < 1000 ? `${n} ms` : seconds(Math.floor(n / 1000)));

export function seconds(n) {
  if (n < 60) return `${n} s`;
  if (n < 3600) return `${Math.floor(n / 60)} min`;
  if (n < 86400) return `${Math.floor(n / 3600)} h`;
  return `${Math.floor(n / 86400)} d`;
}

// clock is the time of day, to the second.
export const clock = (date) => date.toLocaleTimeString("en", { hourCycle: "h23" });

// shown makes bytes visible that would change how the rest of the line reads: controls, and marks of direction.
export function shown(text) {
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (c) => {
    const code = c.codePointAt(0).toString(16);
    return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
  });
}
