/** Small helpers for the page. Text always goes in as text. */

/** An element of the page by its id. */
export function byId<E extends HTMLElement>(id: string, kind: { new (): E }): E {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

export function element(tag: string, text = "", className = ""): HTMLElement {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className !== "") made.className = className;
  return made;
}

/** Four significant digits, whole numbers as they are. */
export function shown(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}

/** A time given in milliseconds. */
export function duration(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 ? ms.toFixed(2) : ms.toFixed(1)} ms`;
}

export function bytes(size: number): string {
  return size < 1e6 ? `${(size / 1e3).toFixed(1)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}
